"""Measures how good pseudo labels are, by joining label files with a labeled dataset by content hash."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.data.errors import ShardReadError, read_failure
from workers.data.images.decode import content_hash
from workers.data.shards.shard_readers import iterate_shard, load_manifest
from workers.evaluation.metrics import Judged, MetricSums
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.evaluation import PseudoLabelTruth
from workers.specs.reports import FailureReason
from workers.specs.results import Metrics
from workers.specs.stages import part_name

_READERS = 4
_COLUMNS = ["content_hash", "label", "confidence", "top_classes"]


@dataclass(frozen=True)
class _Truth:
    hashes: npt.NDArray[np.bytes_]
    """(images,), sorted, without repeats, dtype S16."""
    labels: npt.NDArray[np.int32]


def judge_pseudo_labels(where: PseudoLabelTruth, classes: tuple[str, ...]) -> Metrics:
    """The metrics of the pseudo labels whose image is in the truth dataset. The others are left out.

    Top 5 looks at the first five stored classes. Raises StageError(BAD_DATA) if a file cannot be read or no image is in
    both, and StageError(USER_ERROR) if the truth has other classes.
    """
    try:
        truth = _read_truth(load_manifest(where.truth_manifest_uri), where.truth_manifest_uri, classes)
        shards = range(len(load_manifest(where.labels_manifest_uri).shards))
        sums = MetricSums(len(classes))
        for shard in shards:
            sums.add(_judge_label_file(join_uri(where.labels_uri, part_name(shard)), truth))
    except (ShardReadError, OSError) as error:
        raise StageError(read_failure(error), f"pseudo labels and their truth: {error}") from error
    if not sums.images:
        message = f"no image of {where.labels_manifest_uri} is in {where.truth_manifest_uri}"
        raise StageError(FailureReason.BAD_DATA, message)
    return sums.metrics(classes)


def _read_truth(manifest: DatasetManifest, uri: str, classes: tuple[str, ...]) -> _Truth:
    if manifest.classes != classes:
        raise StageError(FailureReason.USER_ERROR, f"the classes of {uri} are not those of the evaluation set")

    def shard_truth(shard: int) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int32]]:
        hashes, labels = bytearray(), list[int]()
        for piece in iterate_shard(manifest, shard):
            hashes += b"".join(content_hash(image) for image in piece.images)
            labels += piece.labels or []
        return np.frombuffer(hashes, dtype="S16"), np.array(labels, dtype=np.int32)

    with ThreadPoolExecutor(_READERS) as readers:
        parts = list(readers.map(shard_truth, range(len(manifest.shards))))
    hashes, first = np.unique(
        np.concatenate([part for part, _ in parts] or [np.empty(0, dtype="S16")]), return_index=True
    )
    labels = np.concatenate([part for _, part in parts] or [np.empty(0, dtype=np.int32)])
    return _Truth(hashes, labels[first])


def _judge_label_file(uri: str, truth: _Truth) -> Judged:
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source, columns=_COLUMNS)
    except pa.ArrowInvalid as error:
        raise ShardReadError(uri, str(error)) from error
    table = table.filter(table["label"].is_valid()).combine_chunks()
    hashes = np.frombuffer(b"".join(table["content_hash"].to_pylist()), dtype="S16")
    place = np.searchsorted(truth.hashes, hashes)
    found = np.zeros(len(hashes), dtype=bool)
    inside = place < len(truth.hashes)
    found[inside] = truth.hashes[place[inside]] == hashes[inside]
    labels = truth.labels[place[found]]
    return Judged(
        truth=labels,
        predicted=table["label"].to_numpy()[found],
        confidence=table["confidence"].to_numpy()[found],
        in_top5=(_top_classes(table)[found, :5] == labels[:, None]).any(axis=1),
    )


def _top_classes(table: pa.Table) -> npt.NDArray[np.int32]:
    lists = table["top_classes"]
    width = lists.type.list_size
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in lists.chunks]
    return np.concatenate(flat or [np.empty(0, dtype=np.int32)]).reshape(-1, width)
