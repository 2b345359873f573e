"""Evaluates one model on pieces of the evaluation's datasets. Lives in an actor of the pool."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workers.artifact_io import join_uri
from workers.data.errors import BrokenImage
from workers.data.quarantine import BrokenRow, write_quarantine
from workers.data.shards.shard_readers import iterate_shard, load_manifest, read_rows
from workers.evaluation.external_classes import class_indices
from workers.evaluation.metrics import judge
from workers.evaluation.quarantined import quarantine_uri
from workers.evaluation.robustness_probe import RobustnessProbe
from workers.evaluation.work_items import WorkItem, work_items
from workers.models.device import allotted_device
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.reports import FailureReason
from workers.specs.robustness import RobustnessSettings
from workers.specs.stages import EvaluateSpec, part_name


class Evaluator:
    """The model of `spec` on its test set and its other sets, and on sampled images that are corrupted or attacked.

    Raises StageError(USER_ERROR) if the classes of a set are not the model's.
    """

    def __init__(self, spec: EvaluateSpec) -> None:
        self._spec = spec
        self._manifests = [load_manifest(uri) for uri in spec.manifest_uris]
        self._items = work_items(self._manifests, spec.robustness, spec.robustness_of_validation)
        self._predictor = Predictor(
            spec.model_uri,
            allotted_device(spec.pool.gpus),
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
        )
        classes = self._predictor.card.classes
        of_external = [
            class_indices(external, manifest.classes, classes)
            for external, manifest in zip(spec.external, self._manifests[1:], strict=False)
        ]
        self._classes = [None, *of_external, *([None] if spec.validation_manifest_uri else [])]
        for uri, manifest, among in zip(spec.manifest_uris, self._manifests, self._classes, strict=True):
            if among is None and manifest.classes != classes:
                raise StageError(FailureReason.USER_ERROR, f"the classes of {uri} are not those of {spec.model_uri}")
        settings = spec.robustness or RobustnessSettings()
        self._probes = [RobustnessProbe(self._predictor, settings, each.dataset_id) for each in self._manifests]

    def __call__(self, index: int) -> bytes:
        """Evaluates piece `index`. Returns `Judged` as bytes, without broken images, or counts as JSON.

        Raises ShardReadError.
        """
        item = self._items[index]
        if item.kind == "judge":
            return self._judge(item)
        # Each piece reads its shard again, up to its last row. That costs little beside the work on each picture.
        sample = read_rows(self._manifests[item.dataset], item.shard, np.array(item.rows))
        return json.dumps(self._probes[item.dataset].probe(item, sample)).encode()

    def _judge(self, item: WorkItem) -> bytes:
        """Judges a whole shard. It streams through: a large shard takes no more memory than a small one."""
        judged: list[bytes] = []
        read = _Read()
        broken: list[BrokenRow] = []
        start = 0
        for predicted in self._predictor.predictions(_images(self._manifests[item.dataset], item.shard, read)):
            end = start + len(predicted.probabilities)
            for row in sorted(predicted.broken):
                error = read.unreadable.get(start + row, predicted.broken[row])
                broken.append(BrokenRow(read.keys[start + row], item.shard, start + row, error.kind, error.reason))
            readable = np.setdiff1d(np.arange(end - start), list(predicted.broken))
            truth = np.array(read.labels[start:end], dtype=np.int32)[readable]
            judged.append(judge(self._among(item.dataset, predicted.probabilities[readable]), truth).to_bytes())
            start = end
        if broken:
            folder_uri = quarantine_uri(self._spec, self._manifests[item.dataset])
            write_quarantine(join_uri(folder_uri, part_name(item.shard)), broken)
        return b"".join(judged)

    def _among(self, dataset: int, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The probabilities among an external set's own classes, as ImageNet-A is judged (Hendrycks et al. 2019)."""
        among = self._classes[dataset]
        if among is None:
            return probabilities
        chosen = probabilities[:, among]
        chosen /= np.maximum(chosen.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return chosen


@dataclass
class _Read:
    """What is known about the rows of a shard that have been read so far."""

    keys: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unreadable: dict[int, BrokenImage] = field(default_factory=dict)


def _images(manifest: DatasetManifest, shard: int, read: _Read) -> Iterator[bytes]:
    """Yields the shard's images as the predictor asks for them, and adds to `read` what else is known about them."""
    for piece in iterate_shard(manifest, shard):
        read.unreadable.update({len(read.keys) + row: error for row, error in piece.unreadable.items()})
        read.keys += piece.keys
        read.labels += piece.labels or []
        yield from piece.images
