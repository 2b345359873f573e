"""Reads rows by key, and pages of rows by keyset: newest first, with an opaque cursor for the next page."""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidRequest, NotFound
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.store.schema.columns import plain
from service.store.schema.tables import Table

MAX_LIMIT = 200
_LARGEST_INTEGER = 2**63 - 1  # both databases' largest integer
Row = TypeVar("Row", bound=Table)


def get_row(session: Session, table: type[Row], key: object, kind: str, identity: str) -> Row:
    """Returns the row with this primary key. Raises NotFound, which names the row by `kind` and `identity`."""
    row = session.get(table, key)
    if row is None:
        raise NotFound(kind, identity)
    return row


def check_owner(
    session: Session, found: Sequence[Table], owner: type[Table], key: object, kind: str, identity: str
) -> None:
    """Raises NotFound if `found` is empty because the owner does not exist. `kind` and `identity` name the owner."""
    if not found:
        get_row(session, owner, key, kind, identity)


def read_page(
    session: Session,
    table: type[Row],
    keys: Sequence[InstrumentedAttribute[Any]],
    limit: int,
    cursor: str | None,
    *conditions: ColumnElement[bool],
    wanted: ListFilter = EVERYTHING,
) -> tuple[list[Row], str | None]:
    """Returns at most `limit` rows of `table` in descending order of `keys`, and the next page's cursor, None if last.

    The `keys` together must be unique. Raises InvalidRequest for a limit outside 1..200 or a cursor that this listing
    did not give, such as one for other conditions than those of `wanted`.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest("limit", f"limit is 1 to {MAX_LIMIT}, not {limit}")
    statement = select(table).where(*conditions, *_conditions(table, wanted))
    if cursor is not None:
        statement = statement.where(tuple_(*keys) < tuple_(*_decode(cursor, keys, wanted.digest)))
    statement = statement.order_by(*(key.desc() for key in keys)).limit(limit + 1)
    # Each state has its own query, which an index that begins with the state answers in order. Of several states
    # together, a database would sort all rows, or walk all rows in order until enough have one of them.
    states = table.__table__.c.get("state")
    asked = [statement.where(states == state) for state in sorted(wanted.states)] if states is not None else []
    found = [list(session.scalars(each)) for each in asked or [statement]]
    rows = list(islice(merge(*found, key=lambda row: _values(row, keys), reverse=True), limit + 1))
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _encode([*_values(rows[limit - 1], keys), *([wanted.digest] if wanted.digest else [])])


def _conditions(table: type[Table], wanted: ListFilter) -> Iterator[ColumnElement[bool]]:
    columns = table.__table__.c
    if wanted.project is not None:
        yield columns.project == wanted.project
    if wanted.since_seconds is not None:
        yield columns.created_at >= wanted.since_seconds


def _values(row: Table, keys: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    return [getattr(row, key.key) for key in keys]


def _encode(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _decode(cursor: str, keys: Sequence[InstrumentedAttribute[Any]], digest: str) -> list[Any]:
    refusal = InvalidRequest("cursor", "the cursor is not one that this listing gave")
    try:
        values = json.loads(base64.b64decode(cursor.encode(), b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    if not isinstance(values, list) or len(values) not in (len(keys), len(keys) + 1):
        raise refusal
    if values[len(keys) :] != ([digest] if digest else []):
        raise InvalidRequest("cursor", "the cursor is of a listing with other filters")
    values = values[: len(keys)]
    for value, key in zip(values, keys, strict=True):
        if type(value) is not key.type.python_type or (isinstance(value, int) and abs(value) > _LARGEST_INTEGER):
            raise refusal
        if isinstance(value, str) and plain(value) != value:
            raise refusal
    return values
