"""Reads single rows of label files, with everything that labeling has noted of them, in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.data.arrow_columns import filled, values_of
from workers.data.errors import read_error
from workers.data.review_lists import ReviewRows
from workers.data.soft_labels import SOFT_LABEL_COLUMNS, ListedClasses
from workers.specs.stages import part_name

_COLUMNS = ["key", "content_hash", "excluded", "label", "confidence", *SOFT_LABEL_COLUMNS]
_BATCH_ROWS = 8192
_BUFFER_BYTES = 1 << 20
"""How much of a column is read at once: a file may hold a million rows, of which one is wanted."""
_MOST_PROBABLE = 5


@dataclass(frozen=True)
class LabeledRow:
    """One image of the pool and its pseudo label."""

    key: str
    content_hash: bytes
    excluded: str | None
    """Why it must not be trained on; None if it may be."""
    label: int | None
    """The index of its class, here and below None for a broken image."""
    confidence: float | None
    top: tuple[tuple[int, float], ...]
    """The most probable classes with their probabilities, the best first."""


def read_labeled_rows(labels_uri: str, shard: int, rows: Iterable[int]) -> dict[int, LabeledRow]:
    """The rows of a shard with these numbers, without those that it does not have.

    Raises FileNotFoundError where there is no such label file, and ShardReadError where it is damaged.
    """
    wanted = sorted(set(rows))
    found: dict[int, LabeledRow] = {}
    for start, batch in _batches(labels_uri, shard, _COLUMNS, wanted[-1] + 1 if wanted else 0):
        here = [row for row in wanted if start <= row < start + len(batch)]
        if here:
            table = pa.Table.from_batches([batch]).take(pa.array([row - start for row in here]))
            found |= dict(zip(here, _rows(table), strict=True))
    return found


def read_sample(labels_uri: str, shard: int, most_rows: int) -> ReviewRows:
    """The label and the doubt, as the key, of the first rows of a shard that may be learned from.

    At most `most_rows` are looked at. Raises FileNotFoundError and ShardReadError as `read_labeled_rows` does.
    """
    parts = []
    for start, batch in _batches(labels_uri, shard, ["label", "doubt"], most_rows):
        table = pa.Table.from_batches([batch])
        doubts = filled(table["doubt"], 2.0, np.dtype(np.float32))
        labels = filled(table["label"], -1, np.dtype(np.int32))
        rows = np.flatnonzero((doubts <= 1) & (labels >= 0))
        number = len(rows)
        shards, selected = np.full(number, shard, np.int32), np.zeros(number, np.uint8)
        parts.append(ReviewRows(shards, (rows + start).astype(np.int32), labels[rows], doubts[rows], selected))
    return ReviewRows.joined(parts)


def read_copies(selection_uri: str, shard: int) -> dict[int, int]:
    """How often each selected row of a shard is repeated. Raises as `read_labeled_rows` does."""
    uri = join_uri(selection_uri, part_name(shard))
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source, columns=["row", "copies"])
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error
    numbers = (values_of(table[name], np.dtype(np.int32)).tolist() for name in ("row", "copies"))
    return dict(zip(*numbers, strict=True))


def _batches(labels_uri: str, shard: int, columns: list[str], end: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yields batches of rows, and the number of their first row, until the row `end`."""
    uri = join_uri(labels_uri, part_name(shard))
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            file, start = pq.ParquetFile(source, buffer_size=_BUFFER_BYTES), 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
                if start >= end:
                    return
                yield start, batch.slice(0, end - start)
                start += len(batch)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error


def _rows(table: pa.Table) -> Iterator[LabeledRow]:
    listed = ListedClasses.of(table)
    for number, row in enumerate(table.drop_columns(SOFT_LABEL_COLUMNS).to_pylist()):
        places = range(min(_MOST_PROBABLE, listed.classes.shape[1]))
        top = ((int(listed.classes[number, at]), float(listed.probabilities[number, at])) for at in places)
        is_broken = row["label"] is None
        yield LabeledRow(**row, top=() if is_broken else tuple((name, p) for name, p in top if name >= 0))
