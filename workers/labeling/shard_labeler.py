"""Labels one shard after another: reads images, predicts, writes a label file. Lives in an actor of the pool."""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa

from workers.data.errors import BrokenImage
from workers.data.shards.shard_readers import ShardImages, iterate_shard, load_manifest
from workers.labeling.label_files import (
    HELD_OUT,
    NO_LABEL,
    Hygiene,
    LabelSummary,
    conditions_of,
    joined,
    label_table,
    read_summary,
    write_label_file,
)
from workers.labeling.predicted_rows import PredictedRows, predicted_rows
from workers.leakage.evaluation_index import EvaluationIndex, NearDuplicate, as_contents
from workers.models.device import allotted_device
from workers.models.predictor import MakesPredictions, Predictor
from workers.specs.labeling import LabeledBy
from workers.specs.stages import LabelSpec


class LabelWriter:
    """Labels shards with whatever says something of pictures, and writes their label files."""

    def __init__(self, spec: LabelSpec, labeled_by: LabeledBy, labels: MakesPredictions) -> None:
        self._spec = spec
        self._labeled_by = labeled_by
        self._labels = labels
        self._manifest = load_manifest(spec.manifest_uri)
        sets = {load_manifest(images.manifest_uri).dataset_id: images for images in spec.evaluation_images}
        self._evaluation = EvaluationIndex(sets, spec.near_duplicate_distance)

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's label file and returns its LabelSummary as JSON. Raises ShardReadError.

        A label file that exists is not written again: if an actor is lost after it has written a shard, Ray Data
        hands the shard to another.
        """
        earlier = read_summary(self._spec.folder_uri, shard_index, self._labeled_by)
        if earlier is not None and earlier.rows == self._manifest.shards[shard_index].rows:
            return earlier.model_dump_json().encode()
        return self.label(shard_index, iterate_shard(self._manifest, shard_index))

    def label(self, shard_index: int, pieces: Iterable[ShardImages]) -> bytes:
        """Labels a shard that is being read in consecutive pieces, and returns its LabelSummary as JSON.

        Images stream through: a large shard takes no more memory than a small one.
        """
        parts: list[tuple[pa.Table, LabelSummary]] = []
        broken: dict[int, BrokenImage] = {}
        near_duplicates: list[NearDuplicate] = []
        for rows in predicted_rows(self._labels, pieces):
            hygiene = self._hygiene(rows)
            parts.append(label_table(rows.keys, hygiene, rows.probabilities, self._spec.top_k))
            broken.update({rows.start + row: error for row, error in hygiene.broken.items()})
            near_duplicates += [replace(near, row=rows.start + near.row) for near in hygiene.near_duplicates]
        table, summary = joined(parts or [self._no_rows()])
        write_label_file(
            self._spec.folder_uri,
            shard_index,
            table,
            broken,
            near_duplicates,
            self._labeled_by,
            conditions_of(self._spec),
        )
        return summary.model_dump_json().encode()

    def _hygiene(self, rows: PredictedRows) -> Hygiene:
        is_held_out = self._evaluation.equal(as_contents(rows.content_hashes))
        return Hygiene(
            content_hashes=rows.content_hashes,
            excluded=[
                HELD_OUT if held_out else NO_LABEL if row in rows.without_label else None
                for row, held_out in enumerate(is_held_out)
            ],
            broken=rows.broken,
            perceptual_hashes=rows.perceptual_hashes,
            near_duplicates=self._evaluation.near(rows.perceptual_hashes),
            without_label=rows.without_label,
        )

    def _no_rows(self) -> tuple[pa.Table, LabelSummary]:
        return label_table([], Hygiene([], [], {}, {}), self._labels.predict([]).probabilities, self._spec.top_k)


class ShardLabeler(LabelWriter):
    """The teachers of `spec`, which label without noise and on clean images (Xie et al., section 2)."""

    def __init__(self, spec: LabelSpec, labeled_by: LabeledBy | None = None) -> None:
        """Loads the teachers. By default they label at temperature 1."""
        labeled_by = labeled_by or spec.labeled_by(temperature=1.0)
        self.predictor = Predictor(
            spec.model_uri,
            allotted_device(spec.pool.gpus),
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
            views=spec.views,
            temperature=labeled_by.temperature,
            further=spec.further_uris,
        )
        super().__init__(spec, labeled_by, self.predictor)
