"""Reads files that list URIs (text, CSV, JSON lines and Parquet), one entry after the other."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from service.config.datasets import DatasetRequest
from service.datasets.formats.delimited_rows import DELIMITERS, delimited_rows, line_name
from service.datasets.formats.list_columns import ListColumns, Row
from service.datasets.formats.parquet_source import PARQUET_SUFFIXES
from service.errors import InvalidRequest
from workers.artifact_io import name_of, open_filesystem
from workers.data.budgets import MOST_LINE_CHARACTERS
from workers.data.dataset_roots import check_place
from workers.data.names import suffix_of
from workers.data.shards.parquet_labels import class_label_names, named_values
from workers.data.shards.parquet_shards import holds_images, is_string, open_parquet
from workers.data.shards.uri_lists import ListEntry
from workers.data.shards.whole_files import check_regular

LIST_SUFFIXES = frozenset({"txt", "csv", "tsv", "jsonl", "ndjson"}) | PARQUET_SUFFIXES
_BUFFER_BYTES = 256 << 10
_TEXT_COLUMN = "uri"


def list_entries(request: DatasetRequest, uri: str) -> Iterator[ListEntry]:
    """Yields the entries of one list file and holds only a few in memory at a time.

    Raises InvalidRequest for a column that is missing or cannot be guessed, for a line without a URI or with a value of
    the wrong type, and for an unreadable file. The message names the file and the line but does not quote the line.
    """
    columns: ListColumns | None = None
    suffix = suffix_of(name_of(uri))
    for origin, row in _rows(uri, suffix, request):
        columns = columns or ListColumns(request, uri, tuple(row), names_are_told=suffix in PARQUET_SUFFIXES)
        yield columns.entry(row, origin)


def list_column_names(request: DatasetRequest, uri: str) -> tuple[str, ...]:
    """Returns the names of a list's columns; () for an empty list. Raises like `list_entries`."""
    return next((tuple(row) for _, row in list_rows(uri, request)), ())


def list_rows(uri: str, request: DatasetRequest) -> Iterator[tuple[str, Row]]:
    """Yields the rows of one list file with the names that messages use. Raises like `list_entries`."""
    return _rows(uri, suffix_of(name_of(uri)), request)


def _rows(uri: str, suffix: str, request: DatasetRequest) -> Iterator[tuple[str, Row]]:
    """Yields rows with the name that messages use: a line from 1, or in a Parquet file a row from 0."""
    if suffix in PARQUET_SUFFIXES:
        yield from _parquet_rows(uri)
        return
    with _text_file(uri) as lines:
        if suffix in DELIMITERS:
            rows = delimited_rows(uri, lines, suffix, request)
            yield from ((line_name(uri, number), row) for number, row in rows)
        elif suffix in ("jsonl", "ndjson"):
            yield from _json_rows(uri, lines)
        else:
            filled = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
            yield from ((line_name(uri, number), {_TEXT_COLUMN: line}) for number, line in filled)


def _parquet_rows(uri: str) -> Iterator[tuple[str, Row]]:
    with open_parquet(uri) as file:
        columns = [column for field in file.schema_arrow if (column := _listed_column(field)) is not None]
        names = {name: class_label_names(file.schema_arrow, name) for name in file.schema_arrow.names}
        number = 0
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                yield f"{uri} row {number}", named_values(row, names)
                number += 1


def _listed_column(field: pa.Field) -> str | None:
    """Returns what to read of a column: the column itself, the path of a struct, or None for images and lists."""
    if pa.types.is_struct(field.type):
        place = field.type.get_field_index("path")
        return f"{field.name}.path" if place >= 0 and is_string(field.type.field(place).type) else None
    return None if pa.types.is_nested(field.type) or holds_images(field.type) else str(field.name)


def _json_rows(uri: str, lines: Iterator[str]) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except RecursionError as error:
            raise InvalidRequest("uri", f"{line_name(uri, number)}: is nested too deeply") from error
        except ValueError as error:
            raise InvalidRequest("uri", f"{line_name(uri, number)}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InvalidRequest("uri", f"{line_name(uri, number)}: not a JSON object")
        yield line_name(uri, number), row


@contextmanager
def _text_file(uri: str) -> Iterator[Iterator[str]]:
    check_place(uri)
    filesystem, path = open_filesystem(uri)
    try:
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            yield _decoded_lines(uri, io.BufferedReader(source, _BUFFER_BYTES))
    except OSError as error:
        raise InvalidRequest("uri", f"{uri}: cannot be read: {error}") from error


def _decoded_lines(uri: str, source: io.BufferedReader) -> Iterator[str]:
    """Yields the lines with their line ends, since a quoted field may contain one."""
    number = 0
    while raw := source.readline(MOST_LINE_CHARACTERS):
        if len(raw) == MOST_LINE_CHARACTERS:
            raise InvalidRequest("uri", f"{line_name(uri, number + 1)}: is longer than {MOST_LINE_CHARACTERS} bytes")
        for line in raw.splitlines(keepends=True):  # old files end their lines with a lone \r
            number += 1
            yield _decoded(uri, number, line)


def _decoded(uri: str, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        hint = ": it is UTF-16; save it as UTF-8" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise InvalidRequest("uri", f"{line_name(uri, number)}: not UTF-8 text{hint}") from error
