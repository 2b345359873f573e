"""Works through the pieces of an evaluation with one model. Lives in an actor of the pool."""

import json

import numpy as np

from workers.data.shard_readers import ShardImages, load_manifest, read_shard
from workers.evaluation.external_classes import class_indices
from workers.evaluation.metrics import judge
from workers.evaluation.robustness_probe import RobustnessProbe
from workers.evaluation.work_items import WorkItem, work_items
from workers.models.device import allotted_device
from workers.models.predictor import Predictor
from workers.specs.reports import FailureReason
from workers.specs.robustness import RobustnessSettings
from workers.specs.stages import EvaluateSpec
from workers.stage_reporter import StageError


class Evaluator:
    """The model of `spec` on its test set, on its external sets, and on what is done to sampled images.

    Raises StageError(USER_ERROR) where a set's classes are not the model's.
    """

    def __init__(self, spec: EvaluateSpec) -> None:
        uris = [spec.manifest_uri, *(external.manifest_uri for external in spec.external)]
        self._manifests = [load_manifest(uri) for uri in uris]
        self._items = work_items(self._manifests, spec.robustness)
        self._predictor = Predictor(
            spec.model_uri,
            allotted_device(spec.pool.gpus_per_actor),
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
        )
        classes = self._predictor.card.classes
        if self._manifests[0].classes != classes:
            raise StageError(
                FailureReason.USER_ERROR, f"the classes of {spec.manifest_uri} are not those of {spec.model_uri}"
            )
        self._classes = [None] + [
            class_indices(external, manifest.classes, classes)
            for external, manifest in zip(spec.external, self._manifests[1:], strict=True)
        ]
        settings = spec.robustness or RobustnessSettings()
        self._probe = RobustnessProbe(self._predictor, settings, self._manifests[0].dataset_id)
        self._last: tuple[int, int, ShardImages] | None = None

    def __call__(self, index: int) -> bytes:
        """Of piece `index`: `Judged` as bytes, without the broken images; or counts as JSON. Raises ShardReadError."""
        item = self._items[index]
        shard = self._shard(item.dataset, item.shard)
        if item.kind == "judge":
            return self._judge(item, shard)
        return json.dumps(self._probe.probe(item, shard)).encode()

    def _judge(self, item: WorkItem, shard: ShardImages) -> bytes:
        predicted = self._predictor.predict(shard.images)
        readable = np.setdiff1d(np.arange(len(shard.images)), list(predicted.broken))
        truth = np.array(shard.labels or [], dtype=np.int32)[readable]
        probabilities = predicted.probabilities[readable]
        among = self._classes[item.dataset]
        if among is not None:
            # As ImageNet-A is judged: the answer is sought among the set's own classes.
            probabilities = probabilities[:, among]
            probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return judge(probabilities, truth).to_bytes()

    def _shard(self, dataset: int, shard: int) -> ShardImages:
        if self._last is None or self._last[:2] != (dataset, shard):
            self._last = (dataset, shard, read_shard(self._manifests[dataset], shard))
        return self._last[2]
