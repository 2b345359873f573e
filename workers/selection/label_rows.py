"""Reads from label files what selection needs: the label and doubt of all rows, and hashes where they decide."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from workers.artifact_io import join_uri, list_files, open_filesystem
from workers.data.arrow_columns import filled, values_of
from workers.data.errors import read_failure
from workers.data.soft_labels import SOFT_LABEL_COLUMNS, ListedClasses
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.specs.stages import part_name

NEVER = 2.0
"""The doubt of rows that have none: more than any threshold allows."""
_INT32, _FLOAT32, _HASH = np.dtype(np.int32), np.dtype(np.float32), np.dtype("S16")


@dataclass(frozen=True)
class LabelRows:
    """The rows of one shard, in order. All arrays have the shape (rows,)."""

    shard: int
    labels: npt.NDArray[np.int32]
    """Class index; -1 for a broken image."""
    doubts: npt.NDArray[np.float32]
    """1 - the probability of the label; 2 for a row that must not be learned from: broken, excluded, or dropped."""
    dropped_near_duplicates: int = 0
    dropped_duplicates: int = 0
    marked_wrong: int = 0
    """Rows that are left out because a person marked their label as wrong."""

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """The rows that may be learned from if they are confident enough, as a mask."""
        usable: npt.NDArray[np.bool_] = self.doubts < NEVER
        return usable


def read_label_rows(labels_uri: str, shard: int, classes: int) -> LabelRows:
    """The labels and doubts of a shard.

    Raises StageError(BAD_DATA), which names the label file, where it is missing or damaged, or holds a label that is no
    class.
    """
    with _label_file(labels_uri, shard) as source:
        table = source.read(columns=["label", "doubt"], use_threads=False)
        rows = LabelRows(
            shard=shard,
            labels=filled(_of_type(table["label"], pa.int32()), -1, _INT32),
            doubts=filled(_of_type(table["doubt"], pa.float32()), NEVER, _FLOAT32),
        )
    if rows.labels.size and rows.labels.max() >= classes:
        uri = join_uri(labels_uri, part_name(shard))
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} has label {rows.labels.max()} of {classes} classes")
    if rows.labels.size and rows.labels.min() < 0:
        _check_broken_images(rows, labels_uri)
    return rows


def _check_broken_images(rows: LabelRows, labels_uri: str) -> None:
    without_label = np.flatnonzero((rows.labels < 0) & rows.usable)
    if len(without_label):
        uri = join_uri(labels_uri, part_name(rows.shard))
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} has a doubt and no label in row {without_label[0]}")


def read_labels(labels_uri: str, shard: int) -> npt.NDArray[np.int32]:
    """The labels of a shard, int32 (rows,); -1 for a broken image. `read_label_rows` has checked the file before."""
    with _label_file(labels_uri, shard) as source:
        column = source.read(columns=["label"], use_threads=False)["label"]
        return filled(_of_type(column, pa.int32()), -1, _INT32)


def read_listed_classes(labels_uri: str, shard: int, classes: int) -> ListedClasses:
    """The most probable classes of a shard's rows, and their probabilities.

    Raises StageError(BAD_DATA), which names the label file, where it lists a class that is none.
    """
    with _label_file(labels_uri, shard) as source:
        table = source.read(columns=SOFT_LABEL_COLUMNS, use_threads=False)
        listed = ListedClasses.of(table)
    largest = int(listed.classes.max(initial=-1))
    if largest >= classes:
        uri = join_uri(labels_uri, part_name(shard))
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} lists class {largest} of {classes} classes")
    return listed


def read_hashes(labels_uri: str, shard: int) -> npt.NDArray[np.bytes_]:
    """The content hashes of a shard's rows, dtype S16 (rows,)."""
    with _label_file(labels_uri, shard) as source:
        column = source.read(columns=["content_hash"], use_threads=False)["content_hash"]
        return values_of(_of_type(column, pa.binary(16)), _HASH)


def shards_with_list(labels_uri: str, folder: str) -> frozenset[int]:
    """The shards with rows that labeling has listed in `folder`, that of duplicates or that of near duplicates."""
    files = list_files(join_uri(labels_uri, folder))
    return frozenset(_shard_of_part(name) for name in files if not name.startswith("."))


def _shard_of_part(name: str) -> int:
    """The index of the input shard that a file belongs to; the inverse of `part_name`."""
    return int(name.removeprefix("part-").removesuffix(".parquet"))


def read_listed_rows(labels_uri: str, folder: str, shard: int) -> npt.NDArray[np.int32]:
    """The rows of a shard that labeling has listed in `folder`. The shard must be one of `shards_with_list`."""
    with _label_file(join_uri(labels_uri, folder), shard) as source:
        return values_of(_of_type(source.read(columns=["row"], use_threads=False)["row"], pa.int32()), _INT32)


@contextmanager
def _label_file(labels_uri: str, shard: int) -> Iterator[pq.ParquetFile]:
    uri = join_uri(labels_uri, part_name(shard))
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            # Reading all columns ahead helps with a remote store, and halves the speed of a local one.
            yield pq.ParquetFile(source, pre_buffer=not isinstance(filesystem, fs.LocalFileSystem))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StageError(read_failure(error), f"label file {uri} cannot be read: {error}") from error


def _of_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    # A cast copies, even to the type that the column has.
    return column if column.type == kind else column.cast(kind)
