"""Predicts one shard after another: reads images, predicts, writes a file. Lives in an actor, or in a laptop's process.

It streams the same rows as the shard labeler of the label stage, but looks for no near duplicates, which takes time.
"""

from collections.abc import Callable

import torch

from workers.data.shards.shard_readers import iterate_shard
from workers.labeling.predicted_rows import predicted_rows
from workers.models.predictor import Predictor
from workers.prediction.part_files import PredictionTable, read_summary, write_predictions
from workers.specs.datasets import DatasetManifest
from workers.specs.prediction import PredictedBy


class ShardPredictor:
    """The model at `model_uri`, which answers about the images of a dataset without noise.

    `cpus` is what this process may use, and `batch_size` the number of pictures in a batch.
    """

    def __init__(
        self,
        model_uri: str,
        manifest: DatasetManifest,
        folder_uri: str,
        predicted_by: PredictedBy,
        device: torch.device | str = "cpu",
        cpus: float = 1.0,
        batch_size: int = 256,
        on_rows: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Loads the model. `on_rows` is called with the number of rows after each batch."""
        self._manifest = manifest
        self._folder_uri = folder_uri
        self._predicted_by = predicted_by
        self._on_rows = on_rows
        self._predictor = Predictor(model_uri, device, cpus=cpus, batch_size=batch_size)

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's file and returns its PredictionSummary as JSON. Raises ShardReadError.

        A file that exists is not written again: if an actor is lost after it has written a shard, Ray Data hands the
        shard to another.
        """
        summary = read_summary(self._folder_uri, shard_index, self._predicted_by)
        if summary is None or summary.rows != self._manifest.shards[shard_index].rows:
            classes, truth = self._predictor.card.classes, self._manifest.classes
            gathered = PredictionTable(classes, truth, self._predicted_by.top_k)
            for rows in predicted_rows(self._predictor, iterate_shard(self._manifest, shard_index), with_hashes=False):
                gathered.add(rows)
                self._on_rows(len(rows.keys))
            table, summary = gathered.finished(self._predicted_by)
            write_predictions(self._folder_uri, shard_index, table)
        return summary.model_dump_json().encode()
