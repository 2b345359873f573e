"""Reads the rows of a CSV or TSV file. It guesses the delimiter and whether the first line is a header."""

import csv
from collections.abc import Iterator
from itertools import chain

from service.config.datasets import DatasetRequest
from service.datasets.formats.list_columns import URI_NAMES, Row
from service.errors import InvalidRequest
from workers.data.names import LABEL_NAMES
from workers.data.shards.list_entries import looks_like_an_entry

DELIMITERS = {"csv": ",", "tsv": "\t"}
_OTHER_DELIMITERS = (";", "\t", "|")
"""Delimiters that spreadsheets write into a .csv in some countries."""
_ONLY_COLUMN = "uri"

Record = tuple[int, list[str]]
"""The number of the line that a record begins on, and its fields."""


class _Counted:
    """Iterates over lines and counts those that it has yielded."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            yield line


def delimited_rows(uri: str, lines: Iterator[str], suffix: str, request: DatasetRequest) -> Iterator[tuple[int, Row]]:
    """Yields the rows as mappings from column name to value, with the line that each begins on.

    Raises InvalidRequest for a file that is malformed or has no usable header.
    """
    first, known = next(lines, ""), _known_columns(request)
    delimiter = DELIMITERS[suffix]
    if delimiter == "," and not known & _split(first, ","):
        delimiter = next((mark for mark in _OTHER_DELIMITERS if known & _split(first, mark)), delimiter)
    counted = _Counted(chain([first], lines))
    try:
        reader = csv.reader(counted, delimiter=delimiter, strict=True)
        head, records = _head(uri, _records(counted, reader), known)
        for number, record in records:
            if len(record) != len(head):
                raise InvalidRequest("uri", f"{line_name(uri, number)}: has not the {len(head)} fields of the head")
            yield number, dict(zip(head, record, strict=True))
    except csv.Error as error:
        raise InvalidRequest("uri", f"{line_name(uri, counted.number)}: {error}") from error


def line_name(uri: str, number: int) -> str:
    """Returns how messages name a line. Lines count from 1, as in an editor."""
    return f"{uri} line {number}"


def _records(lines: _Counted, reader: Iterator[list[str]]) -> Iterator[Record]:
    while True:
        number = lines.number + 1
        record = next(reader, None)
        if record is None:
            return
        if record:
            yield number, record


def _split(line: str, delimiter: str) -> set[str]:
    return {cell.strip().strip('"').lower() for cell in line.split(delimiter)}


def _known_columns(request: DatasetRequest) -> set[str]:
    named = (request.image_column, request.label_column, request.key_column)
    return {name.lower() for name in named if name is not None} | set(URI_NAMES) | set(LABEL_NAMES)


def _head(uri: str, records: Iterator[Record], known: set[str]) -> tuple[list[str], Iterator[Record]]:
    """Returns the column names and the remaining records. If a file of one column has no header, all records remain.

    The guess matters: a header taken for an image would be a broken image, and an image taken for a header would be
    lost. Raises InvalidRequest if it cannot tell.
    """
    number, head = next(records, (1, []))
    if {name.strip().lower() for name in head} & known:
        _check_names(uri, number, head, known)
        return head, records
    is_image = any(looks_like_an_entry(cell) for cell in head)
    if is_image and len(head) > 1:
        problem = "is no head: begin with a line of column names, as uri,label"
        raise InvalidRequest("uri", f"{line_name(uri, number)}: {problem}")
    if is_image:
        return [_ONLY_COLUMN], chain([(number, head)], records)
    if len(head) == 1:
        second = next(records, None)
        if second is None or not looks_like_an_entry(second[1][0]):
            raise InvalidRequest(
                "image_column",
                f"{line_name(uri, number)}: may be the name of the column or the first image; give its name as "
                "image_column, or, where it is an image, call the file .txt",
            )
        return head, chain([second], records)
    return head, records


def _check_names(uri: str, number: int, head: list[str], known: set[str]) -> None:
    repeated = next((name for place, name in enumerate(head) if name in head[:place]), None)
    if repeated is not None:
        called = f" {repeated!r}" if repeated.lower() in known else ""
        raise InvalidRequest("uri", f"{line_name(uri, number)}: two columns have the same name{called}")
