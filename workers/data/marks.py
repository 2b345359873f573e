"""Marked images: the marks that a selection is given, and the rows of the pool that they are about.

Marks name images by their content hash, so that they hold for every generation, for every version of the pool and for
each copy of an image. Selection looks for the rows once and writes them next to its own files; training reads these.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, list_files, open_filesystem, write_bytes
from workers.data.errors import read_error
from workers.data.soft_labels import ListedClasses
from workers.specs.review import MARKED_FOLDER
from workers.specs.stages import part_name

LEFT_OUT = -1
_MARKS = pa.schema(
    [
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("rejects", pa.bool_(), nullable=False),
    ]
)
_MARKED_ROWS = pa.schema([pa.field("row", pa.int32(), nullable=False), *list(_MARKS)[1:]])


@dataclass(frozen=True)
class Mark:
    """What a person says of an image: which class it is, or which classes it is not."""

    content_hash: bytes
    label: int | None
    """The index of its class; None if only rejected classes are known."""
    rejected: frozenset[int] = frozenset()
    """The indices of the classes that it is not."""


def marks_parquet(marks: Iterable[Mark]) -> bytes:
    """The file of a run's marks: a row for each class that an image is, or is not."""
    rows = [
        (mark.content_hash, label, mark.label is None)
        for mark in marks
        for label in (sorted(mark.rejected) if mark.label is None else [mark.label])
    ]
    return _parquet(_MARKS, rows)


@dataclass(frozen=True)
class Marks:
    """The marks of a run, by content hash."""

    by_hash: Mapping[bytes, Mark]

    @classmethod
    def read(cls, uri: str) -> Self:
        """Reads the file of a run's marks. Raises ShardReadError."""
        labels: dict[bytes, int] = {}
        rejected: dict[bytes, set[int]] = defaultdict(set)
        for content_hash, label, rejects in _rows_of(uri, _MARKS):
            if rejects:
                rejected[content_hash].add(label)
            else:
                labels[content_hash] = label
        return cls(
            {name: Mark(name, labels.get(name), frozenset(rejected.get(name, ()))) for name in (*labels, *rejected)}
        )

    def __len__(self) -> int:
        return len(self.by_hash)

    def found_in(self, content_hashes: npt.NDArray[np.bytes_]) -> list[tuple[int, Mark]]:
        """The rows that are marked, ascending, with their marks. `content_hashes` has dtype S16, (rows,)."""
        halves = np.ascontiguousarray(content_hashes).view(np.uint64).reshape(len(content_hashes), 2)[:, 0]
        places = np.searchsorted(self._first_halves, halves)
        places[places == len(self._first_halves)] = 0
        found = np.flatnonzero(self._first_halves[places] == halves) if len(self) else np.empty(0, np.int64)
        hashes = ((row, content_hashes[row].ljust(16, b"\0")) for row in found.tolist())
        return [(row, self.by_hash[name]) for row, name in hashes if name in self.by_hash]

    @cached_property
    def _first_halves(self) -> npt.NDArray[np.uint64]:
        hashes = np.frombuffer(b"".join(self.by_hash), dtype=np.uint64).reshape(-1, 2)
        return np.sort(hashes[:, 0])


@dataclass(frozen=True)
class MarkedRows:
    """The marked rows of one shard. All arrays have the shape (marks,)."""

    rows: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    """The class that the row is or is not; LEFT_OUT where the teacher's own label is the wrong one."""
    rejects: npt.NDArray[np.bool_]
    """Whether the row is not of the class `labels`; else it is."""

    @classmethod
    def of(cls, found: Iterable[tuple[int, Mark]], teacher: npt.NDArray[np.int32]) -> Self:
        """The marked rows that `Marks.found_in` gives. `teacher` has the teacher's labels of all rows of the shard."""
        rows = []
        for row, mark in found:
            if mark.label is not None:
                rows.append((row, mark.label, False))
            elif int(teacher[row]) in mark.rejected:
                rows.append((row, LEFT_OUT, True))
            else:
                rows += [(row, label, True) for label in sorted(mark.rejected)]
        return cls.of_rows(rows)

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[int, int, bool]]) -> Self:
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        return cls(
            np.array(columns[0], dtype=np.int32),
            np.array(columns[1], dtype=np.int32),
            np.array(columns[2], dtype=np.bool_),
        )

    @property
    def given(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The rows whose class a person gave, and these classes."""
        return self.rows[~self.rejects], self.labels[~self.rejects]

    @property
    def left_out(self) -> npt.NDArray[np.int32]:
        """The rows that must not be trained on, because a person rejected the label that the teacher gives them."""
        rows: npt.NDArray[np.int32] = self.rows[self.labels == LEFT_OUT]
        return rows

    def within(self, start: int, end: int) -> Self:
        """The marked rows from `start` to before `end`, counted from `start`."""
        here = (self.rows >= start) & (self.rows < end)
        return type(self)((self.rows[here] - start).astype(np.int32), self.labels[here], self.rejects[here])

    def applied_to(self, listed: ListedClasses) -> ListedClasses:
        """The classes that all rows of the shard list, where a given class has all of the probability, and a rejected
        one has none: what it had goes to the row's other listed classes."""
        classes, probabilities = listed.classes.copy(), listed.probabilities.copy()
        for row, label in zip(*self.given, strict=True):
            classes[row], probabilities[row] = -1, 0
            classes[row, 0], probabilities[row, 0] = label, 1
        is_lesser = self.rejects & (self.labels != LEFT_OUT)
        for row, label in zip(self.rows[is_lesser], self.labels[is_lesser], strict=True):
            is_rejected = classes[row] == label
            left = 1 - probabilities[row][is_rejected].sum(dtype=np.float32)
            if left > 0:
                probabilities[row] = np.where(is_rejected, 0, probabilities[row] / left)
        return ListedClasses(classes, probabilities)


@dataclass(frozen=True)
class SelectionMarks:
    """The marked rows of a whole selection."""

    selection_uri: str
    shards: frozenset[int] = frozenset()
    """The shards that have any."""

    @classmethod
    def of(cls, selection_uri: str) -> Self:
        """Those of a selection that has been made."""
        files = list_files(join_uri(selection_uri, MARKED_FOLDER))
        parts = (name.removeprefix("part-").removesuffix(".parquet") for name in files if not name.startswith("."))
        return cls(selection_uri, frozenset(map(int, parts)))

    def of_shard(self, shard: int) -> MarkedRows | None:
        """The marked rows of a shard; None if it has none. Raises ShardReadError."""
        if shard not in self.shards:
            return None
        return MarkedRows.of_rows(_rows_of(_marked_uri(self.selection_uri, shard), _MARKED_ROWS))

    def applied_to(self, shard: int, listed: ListedClasses) -> ListedClasses:
        """The classes that all rows of a shard list, changed as `MarkedRows.applied_to` says."""
        marked = self.of_shard(shard)
        return listed if marked is None else marked.applied_to(listed)


def write_marked_rows(selection_uri: str, shard: int, marked: MarkedRows) -> None:
    """Writes the marked rows of a shard next to a selection."""
    rows = zip(marked.rows.tolist(), marked.labels.tolist(), marked.rejects.tolist(), strict=True)
    write_bytes(_marked_uri(selection_uri, shard), _parquet(_MARKED_ROWS, list(rows)))


def _marked_uri(selection_uri: str, shard: int) -> str:
    return join_uri(selection_uri, MARKED_FOLDER, part_name(shard))


def _parquet(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> bytes:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    buffer = pa.BufferOutputStream()
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


def _rows_of(uri: str, schema: pa.Schema) -> list[tuple[Any, ...]]:
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source, columns=schema.names)
    except (OSError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error
    return list(zip(*(table[name].to_pylist() for name in schema.names), strict=True))
