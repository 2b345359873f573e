"""Files that list URIs: text, CSV, JSON lines and Parquet, one entry after the other."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from service.dataset_inspection.location import FoundFile
from service.dataset_inspection.parquet_source import PARQUET_SUFFIXES
from service.dataset_inspection.request import DatasetRequest
from service.errors import InvalidRequest
from workers.artifact_io import name_of, open_filesystem
from workers.data.dataset_roots import ANYWHERE, DatasetRoots, OutsideOfRoots
from workers.data.names import LABEL_NAMES
from workers.data.parquet_shards import open_parquet
from workers.data.uri_lists import ListEntry, resolved

LIST_SUFFIXES = frozenset({"txt", "csv", "tsv", "jsonl", "ndjson"}) | PARQUET_SUFFIXES
_BUFFER_BYTES = 256 << 10
_DELIMITERS = {"csv": ",", "tsv": "\t"}

_URI_NAMES = (
    *("uri", "url", "path", "file", "file_name", "filename", "filepath", "image", "image_uri", "image_url"),
    *("image_path", "image_file"),
)
_TEXT_COLUMN = "uri"

Row = Mapping[str, Any]


def list_entries(request: DatasetRequest, uri: str, roots: DatasetRoots) -> Iterator[ListEntry]:
    """The entries of one list file, few in memory at a time.

    Raises InvalidRequest, naming file and row, for a column that is missing or not to be guessed, a row without a URI
    or with one outside of `roots`, and a file that cannot be read.
    """
    columns: _Columns | None = None
    for number, row in _rows(uri):
        columns = columns or _Columns(request, uri, tuple(row))
        entry = columns.entry(row, number)
        if roots != ANYWHERE:
            _check_place(roots, entry, f"{uri} row {number}")
        yield entry


def _check_place(roots: DatasetRoots, entry: ListEntry, where: str) -> None:
    try:
        roots.check(entry.uri)
    except OutsideOfRoots as error:
        raise InvalidRequest("uri", f"{where}: {error}") from error


class _Columns:
    """Which columns of a list file are used: chosen by its first row."""

    def __init__(self, request: DatasetRequest, uri: str, names: Sequence[str]) -> None:
        self._list_uri = uri
        self._names = names
        self._uri = self._chosen("image_column", request.image_column) or self._guessed_uri()
        self._key = self._chosen("key_column", request.key_column)
        self._label: str | None = None
        if request.role != "unlabeled":
            self._label = self._chosen("label_column", request.label_column) or self._guessed_label()

    def entry(self, row: Row, number: int) -> ListEntry:
        written = _text(row.get(self._uri))
        if written is None:
            raise InvalidRequest("image_column", f"{self._list_uri} row {number}: no URI in column {self._uri!r}")
        key = _text(row.get(self._key)) if self._key is not None else None
        label = _text(row.get(self._label)) if self._label is not None else None
        return ListEntry(key or written, resolved(written, self._list_uri), label)

    def _chosen(self, field: str, name: str | None) -> str | None:
        if name is not None and name not in self._names:
            raise InvalidRequest(field, f"{self._list_uri}: no column {name!r}; {self._listed()}")
        return name

    def _guessed_uri(self) -> str:
        known = next((name for name in _URI_NAMES if name in self._names), None)
        if known is None and len(self._names) == 1:
            return self._names[0]
        if known is None:
            raise InvalidRequest(
                "image_column", f"{self._list_uri}: no column is known to hold the URIs; {self._listed()}"
            )
        return known

    def _guessed_label(self) -> str:
        known = next((name for name in LABEL_NAMES if name in self._names and name != self._uri), None)
        if known is None:
            raise InvalidRequest(
                "label_column", f"{self._list_uri}: no column is known to hold the labels; {self._listed()}"
            )
        return known

    def _listed(self) -> str:
        return f"its columns are {', '.join(self._names)}"


def _rows(uri: str) -> Iterator[tuple[int, Row]]:
    """Rows with their numbers, as an editor counts the lines of a text file, or from 0 in a Parquet file."""
    suffix = FoundFile(name_of(uri), 0).suffix
    if suffix in PARQUET_SUFFIXES:
        yield from _parquet_rows(uri)
        return
    with _text_file(uri) as lines:
        if suffix in _DELIMITERS:
            yield from _delimited_rows(uri, lines, _DELIMITERS[suffix])
        elif suffix in ("jsonl", "ndjson"):
            yield from _json_rows(uri, lines)
        else:
            yield from ((number, {_TEXT_COLUMN: line}) for number, line in enumerate(lines, 1) if line.strip())


def _parquet_rows(uri: str) -> Iterator[tuple[int, Row]]:
    with open_parquet(uri) as file:
        kinds = {field.name: field.type for field in file.schema_arrow}
        columns = [
            name for name, kind in kinds.items() if not pa.types.is_nested(kind) and not pa.types.is_binary(kind)
        ]
        number = 0
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                yield number, row
                number += 1


def _delimited_rows(uri: str, lines: io.TextIOBase, delimiter: str) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InvalidRequest(
                    "uri", f"{uri} row {reader.line_num}: has not the {len(reader.fieldnames or ())} fields of the head"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidRequest("uri", f"{uri} row {reader.line_num}: {error}") from error


def _json_rows(uri: str, lines: io.TextIOBase) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidRequest("uri", f"{uri} row {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InvalidRequest("uri", f"{uri} row {number}: not a JSON object")
        yield number, row


@contextmanager
def _text_file(uri: str) -> Iterator[io.TextIOBase]:
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            yield io.TextIOWrapper(io.BufferedReader(source, _BUFFER_BYTES), "utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        raise InvalidRequest("uri", f"{uri}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise InvalidRequest("uri", f"{uri}: cannot be read: {error}") from error


def _text(value: Any) -> str | None:
    """A cell as text; None for a null or what is blank."""
    return None if value is None else str(value).strip() or None
