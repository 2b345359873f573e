"""Computes the teachers' logits on sampled validation images. Lives in an actor of the pool."""

import numpy as np

from workers.data.order.sampled_rows import sampled_rows
from workers.data.shards.shard_readers import load_manifest, read_rows
from workers.models.device import allotted_device
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.specs.stages import LabelSpec


class LogitCollector:
    """The teachers of `spec`, on calibration images. Raises StageError(USER_ERROR) if these have other classes."""

    def __init__(self, spec: LabelSpec) -> None:
        assert spec.calibration_manifest_uri is not None
        self._manifest = load_manifest(spec.calibration_manifest_uri)
        self._rows = sampled_rows(self._manifest, spec.calibration_sample)
        self._predictor = Predictor(
            spec.model_uri,
            allotted_device(spec.pool.gpus),
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
            views=spec.views,
            further=spec.further_uris,
        )
        if self._manifest.classes != self._predictor.card.classes:
            message = f"the classes of {spec.calibration_manifest_uri} are not those of {spec.model_uri}"
            raise StageError(FailureReason.USER_ERROR, message)

    def __call__(self, shard_index: int) -> bytes:
        """The bytes of a float32 array (images, classes + 1): logits of a shard's sampled images, then their labels.

        Broken images are left out. Raises ShardReadError.
        """
        sample = read_rows(self._manifest, shard_index, np.array(self._rows[shard_index]))
        logits, rows = self._predictor.logits(sample.images)
        labels = np.array(sample.labels or [], dtype=np.float32)[rows]
        return np.column_stack([logits, labels]).astype(np.float32).tobytes()
