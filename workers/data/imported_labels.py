"""Reads pseudo labels that somebody else has made: Parquet tables of keys or URIs with labels or probabilities."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from workers.artifact_io import join_uri, open_filesystem, walk_files
from workers.data.errors import ShardReadError
from workers.data.left_behind import is_left_behind
from workers.data.plain_values import shown
from workers.data.shards.parquet_shards import holds_labels, is_string, open_parquet

NO_CLASS = -1
"""Fills the list of a row that names fewer classes than others."""
NAME_COLUMNS = ("key", "uri")
_PARQUET = (".parquet", ".pq", ".parq")
_ROWS = 65_536
_VALUES = 4 << 20  # the most probabilities of a batch
_ROUNDING = 2e-3  # how much a sum of probabilities may exceed 1: half precision is that coarse
_DIGEST_BLOCK = 16 << 20


@dataclass(frozen=True)
class ImportedBatch:
    """Consecutive rows of one file that have a label."""

    uri: str
    rows: npt.NDArray[np.int64]
    """The row of the file that each is."""
    names: list[str]
    """Keys, or URIs if `by_uri`."""
    by_uri: bool
    classes: npt.NDArray[np.int32]
    """(rows, k): class indices; NO_CLASS where a row names fewer than k."""
    probabilities: npt.NDArray[np.float32]
    """(rows, k): their probabilities. What is missing to 1 belongs to the classes that are not named."""


def imported_files(uri: str) -> list[str]:
    """The URIs of the Parquet files at `uri`, a file or a folder, sorted. Raises ShardReadError if there are none."""
    filesystem, path = open_filesystem(uri)
    if filesystem.get_file_info(path).is_file:
        return [uri]
    names = sorted(
        name
        for name in walk_files(uri)
        if name.lower().endswith(_PARQUET) and not is_left_behind(name.rpartition("/")[2])
    )
    if not names:
        raise ShardReadError(uri, f"no file that ends in {', '.join(_PARQUET)} is there")
    return [join_uri(uri, name) for name in names]


def digest_of_files(files: Sequence[str]) -> str:
    """A digest of the files' contents in order: blake2b of 16 bytes, in hex."""
    digest = hashlib.blake2b(digest_size=16)
    for uri in files:
        filesystem, path = open_filesystem(uri)
        with filesystem.open_input_stream(path) as stream:
            while block := stream.read(_DIGEST_BLOCK):
                digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()


def iterate_labels(files: Sequence[str], classes: Sequence[str], key_column: str | None) -> Iterator[ImportedBatch]:
    """Yields the labels of the files in order, in batches of bounded size; rows without a label are passed over.

    Raises ShardReadError, which names the file and the row, for columns that are missing or of another type, a row
    without a key, a class that is none of `classes`, and probabilities that cannot be.
    """
    for uri in files:
        with open_parquet(uri) as file:
            table = _Table.of(uri, file.schema_arrow, classes, key_column)
            start = 0
            for batch in file.iter_batches(batch_size=table.rows_at_once, columns=table.columns):
                yield table.read(batch, start)
                start += batch.num_rows


def check_no_key_twice(files: Sequence[str], classes: Sequence[str], key_column: str | None, most: int) -> int:
    """Reads and checks all labels. Returns their number.

    Raises ShardReadError like `iterate_labels`, and for a key that comes twice among the first `most` labels.
    """
    hashes, places = [np.empty(0, "S16")], []
    count = 0
    for batch in iterate_labels(files, classes, key_column):
        if count < most:
            hashes.append(hashed(batch.names))
            places.append((count, batch))
        count += len(batch.names)
    raise_if_twice(np.concatenate(hashes), [(start, batch.uri, batch.rows) for start, batch in places])
    return count


def raise_if_twice(hashes: npt.NDArray[np.bytes_], places: Sequence[tuple[int, str, npt.NDArray[np.int64]]]) -> None:
    """Raises ShardReadError if two hashes are equal. `places` has the first position, the file and the rows of each
    piece of them, in order."""
    order = np.argsort(hashes, kind="stable")
    again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    if len(again):
        first, second = (_place(places, int(order[again[0] + step])) for step in (0, 1))
        raise ShardReadError(second[0], f"row {second[1]}: its key is that of row {first[1]} of {first[0]} as well")


def _place(places: Sequence[tuple[int, str, npt.NDArray[np.int64]]], position: int) -> tuple[str, int]:
    start, uri, rows = next(each for each in reversed(places) if each[0] <= position)
    return uri, int(rows[position - start])


def hashed(names: Sequence[str]) -> npt.NDArray[np.bytes_]:
    """A hash of each name, dtype S16: blake2b of 15 bytes and a 1, since numpy drops zeros at the end."""
    data = b"".join(hashlib.blake2b(name.encode(), digest_size=15).digest() + b"\1" for name in names)
    return np.frombuffer(data, dtype="S16")


@dataclass(frozen=True)
class _Table:
    """How to read one file."""

    uri: str
    classes: Sequence[str]
    index_of: Mapping[str, int]
    name: str
    label: str | None
    confidence: str | None
    listed: str | None
    """The column of listed classes."""
    probabilities: str | None
    width: int

    @classmethod
    def of(cls, uri: str, schema: pa.Schema, classes: Sequence[str], key_column: str | None) -> "_Table":
        there = schema.names
        name = next((each for each in ([key_column] if key_column else NAME_COLUMNS) if each in there), None)
        if name is None:
            wanted = repr(key_column) if key_column else "`key` or `uri`"
            raise ShardReadError(uri, f"no column {wanted}; it has {', '.join(map(shown, there))}")
        listed = "top_classes" if {"top_classes", "top_probabilities"} <= set(there) else None
        probabilities = "top_probabilities" if listed else "probabilities" if "probabilities" in there else None
        label = "label" if "label" in there else None
        if probabilities is None and label is None:
            raise ShardReadError(
                uri,
                "no column `label`, `probabilities`, or `top_classes` with `top_probabilities`; it has "
                f"{', '.join(map(shown, there))}",
            )
        found = cls(
            uri=uri,
            classes=classes,
            index_of={each: index for index, each in enumerate(classes)},
            name=name,
            label=label,
            confidence="confidence" if probabilities is None and "confidence" in there else None,
            listed=listed,
            probabilities=probabilities,
            width=len(classes),
        )
        found._check_types(schema)
        return found

    @property
    def columns(self) -> list[str]:
        named = (self.name, self.label, self.confidence, self.listed, self.probabilities)
        return [name for name in named if name is not None]

    @property
    def rows_at_once(self) -> int:
        return max(1, min(_ROWS, _VALUES // (self.width if self.probabilities else 1)))

    def _check_types(self, schema: pa.Schema) -> None:
        fits = {
            self.name: (holds_labels, "text or whole numbers"),
            self.label: (holds_labels, "text or whole numbers"),
            self.confidence: (pa.types.is_floating, "floating-point numbers"),
            self.probabilities: (_is_list, "lists of floating-point numbers"),
            self.listed: (_is_list, "lists of whole numbers or texts"),
        }
        for column, (is_fit, what) in fits.items():
            if column is not None and not is_fit(schema.field(column).type):
                raise ShardReadError(
                    self.uri, f"column {shown(column)!r} holds {schema.field(column).type}, not {what}"
                )

    def read(self, batch: pa.RecordBatch, start: int) -> ImportedBatch:
        """The rows of a batch that have a label. The first row of the batch is row `start` of the file."""
        rows = np.arange(start, start + batch.num_rows)
        has_label = np.ones(batch.num_rows, dtype=bool)
        for column in (self.label, self.probabilities):
            if column is not None:
                has_label &= batch.column(column).is_valid().to_numpy(zero_copy_only=False)
        kept = batch.filter(pa.array(has_label))
        rows = rows[has_label]
        names = self._names(kept.column(self.name), rows)
        if self.probabilities is None:
            classes, probabilities = self._of_labels(kept, rows)
        else:
            classes, probabilities = self._of_lists(kept, rows)
        return ImportedBatch(self.uri, rows, names, self.name == "uri", classes, probabilities)

    def _names(self, column: pa.Array, rows: npt.NDArray[np.int64]) -> list[str]:
        if column.null_count:
            self._refuse(rows, ~column.is_valid().to_numpy(zero_copy_only=False), f"it has no {self.name}")
        return [str(value) for value in column.to_pylist()]

    def _of_labels(
        self, kept: pa.RecordBatch, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        labels = self._indices(kept.column(self.label), rows)
        confidence = np.ones(len(rows), dtype=np.float32)
        if self.confidence is not None:
            confidence = _floats(kept.column(self.confidence))
            self._refuse(rows, ~(confidence > 0) | (confidence > 1), "its confidence is not in 0..1, without 0")
            share = 1 / len(self.classes)
            least = f"the share of each of {len(self.classes)} classes: another class would be likelier"
            self._refuse(rows, confidence < share - 1e-6, f"its confidence is below {share:.3g}, {least}")
        return labels[:, None], confidence[:, None]

    def _of_lists(
        self, kept: pa.RecordBatch, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        column = kept.column(self.probabilities)
        lengths = np.asarray(pc.list_value_length(column).to_numpy(zero_copy_only=False), dtype=np.int64)
        flat = _floats(pc.list_flatten(column))
        of_row = np.repeat(np.arange(len(rows)), lengths)
        if self.listed is None:
            self._refuse(
                rows, lengths != self.width, f"it does not have {self.width} probabilities, one for each class"
            )
            listed = np.tile(np.arange(self.width, dtype=np.int32), len(rows))
        else:
            names = kept.column(self.listed)
            others = np.asarray(pc.list_value_length(names).fill_null(-1).to_numpy(zero_copy_only=False))
            self._refuse(rows, others != lengths, "its top_classes and top_probabilities are not of the same length")
            listed = self._indices(pc.list_flatten(names), rows[of_row], listed=True)
        bad = np.zeros(len(rows), dtype=bool)
        bad[of_row[~(flat >= 0)]] = True
        self._refuse(rows, bad, "a probability is negative, null or NaN")
        flat = np.where(listed < 0, np.float32(0), flat)
        sums = np.bincount(of_row, weights=flat, minlength=len(rows))
        self._refuse(rows, sums > 1 + _ROUNDING, "its probabilities sum to more than 1")
        self._refuse(rows, sums == 0, "all its probabilities are 0, or it has none")
        flat = (flat / np.maximum(sums, 1)[of_row]).astype(np.float32)
        width = int(lengths.max(initial=1))
        classes = np.full((len(rows), width), NO_CLASS, dtype=np.int32)
        probabilities = np.zeros((len(rows), width), dtype=np.float32)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        classes[of_row, place], probabilities[of_row, place] = listed, flat
        ordered = np.sort(classes, axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        self._refuse(rows, twice, "it lists a class twice")
        return classes, probabilities

    def _indices(self, column: pa.Array, rows: npt.NDArray[np.int64], listed: bool = False) -> npt.NDArray[np.int32]:
        """Class indices of names or numbers. Numbers are names where all classes are numbers, else indices; in lists
        they are indices, and NO_CLASS stands for none."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        are_names = is_string(column.type) or (not listed and all(map(_is_number, self.classes)))
        unknown = f"its class is none of the {len(self.classes)} classes"
        if are_names:
            texts = column.to_pylist()
            found = np.array([self.index_of.get(str(text).strip(), -1) for text in texts], dtype=np.int32)
            self._refuse(rows, found < 0, unknown)
            return found
        numbers = _integers(column)
        least = NO_CLASS if listed else 0
        self._refuse(rows, (numbers < least) | (numbers >= len(self.classes)), unknown)
        return numbers.astype(np.int32)

    def _refuse(self, rows: npt.NDArray[np.int64], is_wrong: npt.NDArray[np.bool_], problem: str) -> None:
        if is_wrong.any():
            raise ShardReadError(self.uri, f"row {rows[int(np.argmax(is_wrong))]}: {problem}")


def _is_list(column_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(column_type) or pa.types.is_large_list(column_type) or pa.types.is_fixed_size_list(column_type)
    )


def _is_number(name: str) -> bool:
    return name.lstrip("-").isdecimal()


def _floats(column: pa.Array) -> npt.NDArray[np.float32]:
    """The values; a null is NaN."""
    values = column.cast(pa.float32()).fill_null(float("nan"))
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32)


def _integers(column: pa.Array) -> npt.NDArray[np.int64]:
    """The values; a null is less than any class."""
    return np.asarray(column.cast(pa.int64()).fill_null(-(2**31)).to_numpy(zero_copy_only=False), dtype=np.int64)
