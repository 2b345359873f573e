"""Listings by keyset: newest first, with an opaque cursor that says after which row the next page begins."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidRequest
from service.store.schema.columns import plain
from service.store.schema.tables import Table

MAX_LIMIT = 200
_LARGEST_INTEGER = 2**63 - 1  # of the databases
Row = TypeVar("Row", bound=Table)


def read_page(
    session: Session,
    table: type[Row],
    keys: Sequence[InstrumentedAttribute[Any]],
    limit: int,
    cursor: str | None,
    *conditions: ColumnElement[bool],
) -> tuple[list[Row], str | None]:
    """At most `limit` rows of `table` in descending order of `keys`, and the next page's cursor.

    `keys` together are unique. Raises InvalidRequest for a limit outside 1..200 or a cursor that is not ours.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest("limit", f"limit is 1 to {MAX_LIMIT}, not {limit}")
    statement = select(table).where(*conditions)
    if cursor is not None:
        statement = statement.where(tuple_(*keys) < tuple_(*_decode(cursor, keys)))
    statement = statement.order_by(*(key.desc() for key in keys)).limit(limit + 1)
    rows = list(session.scalars(statement))
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _encode([getattr(rows[limit - 1], key.key) for key in keys])


def _encode(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _decode(cursor: str, keys: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    refusal = InvalidRequest("cursor", "the cursor is not one that this listing gave")
    try:
        values = json.loads(base64.b64decode(cursor.encode(), b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    if not isinstance(values, list) or len(values) != len(keys):
        raise refusal
    for value, key in zip(values, keys, strict=True):
        if type(value) is not key.type.python_type or (isinstance(value, int) and abs(value) > _LARGEST_INTEGER):
            raise refusal
        if isinstance(value, str) and plain(value) != value:
            raise refusal
    return values
