"""What selection reads of label files: label, doubt, and whether a row may be used; hashes of a few rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.specs.stages import FailureReason, part_name
from workers.stage_reporter import StageError

_COLUMNS = ["label", "doubt", "excluded"]


@dataclass(frozen=True)
class LabelRows:
    """The rows of one shard, in order."""

    shard: int
    labels: npt.NDArray[np.int32]
    """Class index; -1 for a broken image."""
    doubts: npt.NDArray[np.float32]
    """1 - the probability of the label; 1 for a broken image."""
    excluded: npt.NDArray[np.bool_] | None
    """Rows that must not be learned from, whatever their label; None where there is none."""


def read_label_rows(labels_uri: str, shard: int, classes: int) -> LabelRows:
    """Raises StageError(BAD_DATA), naming the file, where it is missing, damaged or has labels beyond the classes."""
    with _label_file(labels_uri, shard) as source:
        table = pq.read_table(source, columns=_COLUMNS, use_threads=False)
        rows = LabelRows(
            shard=shard,
            labels=_filled(table["label"], -1),
            doubts=_filled(table["doubt"], 1.0),
            excluded=_valid(table["excluded"]),
        )
    if rows.labels.size and rows.labels.max() >= classes:
        uri = join_uri(labels_uri, part_name(shard))
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} has label {rows.labels.max()} of {classes} classes")
    return rows


def read_hashes(labels_uri: str, shard: int, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.bytes_]:
    """Content hashes, dtype S16, of some rows of a shard."""
    with _label_file(labels_uri, shard) as source:
        column = pq.read_table(source, columns=["content_hash"], use_threads=False)["content_hash"]
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.binary(16))
    data = array.buffers()[1]
    hashes = np.frombuffer(data, dtype="S16") if data is not None else np.empty(0, dtype="S16")
    return hashes[array.offset :][rows]


@contextmanager
def _label_file(labels_uri: str, shard: int) -> Iterator[pa.NativeFile]:
    uri = join_uri(labels_uri, part_name(shard))
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            yield source
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} cannot be read: {error}") from error


def _filled(column: pa.ChunkedArray, value: float) -> npt.NDArray[np.generic]:
    values: npt.NDArray[np.generic] = (column.fill_null(value) if column.null_count else column).to_numpy()
    return values


def _valid(column: pa.ChunkedArray) -> npt.NDArray[np.bool_] | None:
    if column.null_count == len(column):
        return None
    valid: npt.NDArray[np.bool_] = column.is_valid().to_numpy()
    return valid
