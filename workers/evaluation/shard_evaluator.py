"""Predicts one shard after the other and compares with its labels. Lives in an actor of the pool."""

import numpy as np

from workers.data.shard_readers import load_manifest, read_shard
from workers.evaluation.metrics import judge
from workers.models.predictor import Predictor
from workers.specs.stages import EvaluateSpec, FailureReason
from workers.stage_reporter import StageError


class ShardEvaluator:
    """The model of `spec` on clean images of its evaluation set."""

    def __init__(self, spec: EvaluateSpec) -> None:
        self._manifest = load_manifest(spec.manifest_uri)
        self._predictor = Predictor(spec.model_uri, cpus=spec.pool.cpus_per_actor, batch_size=spec.batch_size)
        if self._manifest.classes != self._predictor.card.classes:
            raise StageError(
                FailureReason.USER_ERROR, f"the classes of {spec.manifest_uri} are not those of {spec.model_uri}"
            )

    def __call__(self, shard_index: int) -> bytes:
        """`Judged` as bytes, without the broken images. Raises ShardReadError."""
        shard = read_shard(self._manifest, shard_index)
        predicted = self._predictor.predict(shard.images)
        readable = np.setdiff1d(np.arange(len(shard.images)), list(predicted.broken))
        truth = np.array(shard.labels or [], dtype=np.int32)
        return judge(predicted.probabilities[readable], truth[readable]).to_bytes()
