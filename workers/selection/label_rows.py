"""What selection reads of one label file: label, confidence and content hash of each row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.specs.stages import FailureReason, part_name
from workers.stage_reporter import StageError


@dataclass(frozen=True)
class LabelRows:
    """The rows of one shard, in order."""

    shard: int
    labels: npt.NDArray[np.int32]
    """Class index; -1 for a broken image."""
    confidences: npt.NDArray[np.float32]
    """Probability of the label; 0 for a broken image."""
    hashes: npt.NDArray[np.bytes_]
    """Content hashes, dtype S16."""


def read_label_rows(labels_uri: str, shard: int, classes: int) -> LabelRows:
    """Raises StageError(BAD_DATA), naming the file, where it is missing, damaged or has labels beyond the classes."""
    uri = join_uri(labels_uri, part_name(shard))
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source, columns=["label", "confidence", "content_hash"])
        rows = LabelRows(
            shard=shard,
            labels=table["label"].fill_null(-1).to_numpy(),
            confidences=table["confidence"].fill_null(0.0).to_numpy(),
            hashes=_hash_array(table["content_hash"].combine_chunks()),
        )
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} cannot be read: {error}") from error
    if rows.labels.size and rows.labels.max() >= classes:
        raise StageError(FailureReason.BAD_DATA, f"label file {uri} has label {rows.labels.max()} of {classes} classes")
    return rows


def _hash_array(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    data = array.buffers()[1]
    if data is None:
        return np.empty(0, dtype="S16")
    return np.frombuffer(data, dtype="S16")[array.offset : array.offset + len(array)]
