"""Lists of pseudo labels that are worth a look. Selection writes them where all rows are at hand, the API reads them.

A list holds the best rows of each class by its order, some that were selected and some that were not, so that a page of
one class, or of selected images only, is found in it too. It stays small for any pool.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, read_bytes_if_there, write_bytes
from workers.data.arrow_columns import values_of
from workers.data.errors import ShardReadError
from workers.specs.review import REVIEW_FOLDER, ReviewOrder

_ROWS_OF_A_LIST = 50_000
_NARROWED_ROWS = 50_000
_LEAST_OF_A_GROUP, _MOST_OF_A_GROUP = 4, 250
_NARROWED_ROWS = 50_000
"""So many rows may wait before the best of them are sorted out."""
_DTYPES: dict[str, np.dtype[Any]] = {
    "shard": np.dtype(np.int32),
    "row": np.dtype(np.int32),
    "label": np.dtype(np.int32),
    "key": np.dtype(np.float32),
    "selected": np.dtype(np.uint8),
}


def rows_of_a_group(classes: int) -> int:
    """How many rows of each class a list holds that were selected, and that were not."""
    return int(np.clip(_ROWS_OF_A_LIST // (2 * classes), _LEAST_OF_A_GROUP, _MOST_OF_A_GROUP))


@dataclass(frozen=True)
class ReviewRows:
    """Rows of the pool. All arrays have the shape (rows,)."""

    shards: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    """The class that is looked at: the index of the pseudo label."""
    keys: npt.NDArray[np.float32]
    """What orders the rows: the smallest first."""
    selected: npt.NDArray[np.uint8]
    """1 for a row that was selected for training, else 0."""

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def nothing(cls) -> Self:
        """No rows."""
        return cls.of_columns([np.empty(0, dtype) for dtype in _DTYPES.values()])

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """The rows of all parts."""
        if not parts:
            return cls.nothing()
        columns = zip(*(part.columns for part in parts), strict=True)
        return cls.of_columns([np.concatenate(column) for column in columns])

    @classmethod
    def of_columns(cls, columns: list[npt.NDArray[Any]]) -> Self:
        """The rows with these arrays, which are in the order of the fields."""
        return cls(*columns)

    @property
    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays in the order of the fields."""
        return self.shards, self.rows, self.labels, self.keys, self.selected

    def taken(self, which: npt.NDArray[np.generic] | slice) -> Self:
        """The rows that a mask, indices or a slice choose."""
        return self.of_columns([column[which] for column in self.columns])

    def in_order(self) -> Self:
        """The same rows, the smallest key first, and among equals by their place in the pool."""
        return self.taken(np.lexsort((self.rows, self.shards, self.keys)))

    def best_of_groups(self, most: int) -> Self:
        """At most `most` rows of each class and of what was selected, and what was not. Rows stay where they are.

        Among equal keys the first rows are taken.
        """
        by_key = np.argsort(self.keys, kind="stable")
        groups = self.groups[by_key]
        by_group = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
        rank = np.arange(len(self)) - np.repeat(starts, np.diff(starts, append=len(self)))
        return self.taken(np.sort(by_key[by_group[rank < most]]))

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """A number for the class of each row together with whether it was selected."""
        return self.labels.astype(np.int64) * 2 + self.selected


class BestRows:
    """The best rows of each group of what is added, shard by shard in ascending order."""

    def __init__(self, classes: int) -> None:
        self._most = rows_of_a_group(classes)
        self._floors = np.full(2 * classes, np.inf, dtype=np.float32)
        self._class_floors = np.full(classes, np.inf, dtype=np.float32)
        self._parts = [ReviewRows.nothing()]
        self._waiting = 0

    def add(
        self,
        shard: int,
        labels: npt.NDArray[np.int32],
        keys: npt.NDArray[np.float32],
        selected: npt.NDArray[np.uint8],
    ) -> None:
        """Considers the rows of the next shard. The key of a row that does not count is infinite."""
        # Equal keys that come later are never better: earlier rows go first. Most rows fail the first comparison, which
        # is the only one that looks at all of them.
        rows = np.flatnonzero(keys < np.take(self._class_floors, labels)).astype(np.int32)
        shards = np.full(len(rows), shard, dtype=np.int32)
        found = ReviewRows(shards, rows, labels[rows], keys[rows], selected[rows])
        better = found.taken(found.keys < np.take(self._floors, found.groups))
        self._parts.append(better)
        self._waiting += len(better)
        if self._waiting > max(_NARROWED_ROWS, 4 * len(self._parts[0])):
            self._narrow()

    def best(self) -> ReviewRows:
        """What is best of all that was added, by its place in the pool."""
        self._narrow()
        return self._parts[0]

    def _narrow(self) -> None:
        best = ReviewRows.joined(self._parts).best_of_groups(self._most)
        groups = best.groups
        largest = np.full(len(self._floors), -np.inf, dtype=np.float32)
        np.maximum.at(largest, groups, best.keys)
        is_full = np.bincount(groups, minlength=len(self._floors)) >= self._most
        self._floors = np.where(is_full, largest, np.float32(np.inf))
        self._class_floors = self._floors.reshape(-1, 2).max(axis=1)
        self._parts, self._waiting = [best], 0


def write_review_list(selection_uri: str, order: ReviewOrder, rows: ReviewRows) -> None:
    """Writes a list beside a selection."""
    table = pa.table(dict(zip(_DTYPES, rows.columns, strict=True)))
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_bytes(_uri(selection_uri, order), buffer.getvalue().to_pybytes())


def read_review_list(selection_uri: str, order: ReviewOrder) -> ReviewRows | None:
    """The list beside a selection, in order; None if there is none. Raises ShardReadError for a damaged one."""
    uri = _uri(selection_uri, order)
    data = read_bytes_if_there(uri)
    if data is None:
        return None
    try:
        table = pq.read_table(pa.BufferReader(data), columns=list(_DTYPES))
    except pa.ArrowException as error:
        raise ShardReadError(uri, f"not a list of pseudo labels: {error}") from error
    return ReviewRows.of_columns([values_of(table[name], dtype) for name, dtype in _DTYPES.items()])


def _uri(selection_uri: str, order: ReviewOrder) -> str:
    return join_uri(selection_uri, REVIEW_FOLDER, f"{order}.parquet")
