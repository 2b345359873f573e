"""A column for text that others wrote: a worker's traceback, Ray's account of a job, a receiver's answer."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Dialect, SQLColumnExpression, Text, literal_column
from sqlalchemy.types import TypeDecorator


class PlainText(TypeDecorator[str]):
    """Text, without what a database refuses: PostgreSQL stores no NUL, and no lone surrogate is UTF-8.

    What is written about a failure must not fail: the same tick would, again and again.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else plain(value)


def plain(text: str) -> str:
    """The text without NULs, and with a question mark for each lone surrogate."""
    return text.replace("\0", "").encode(errors="replace").decode()


def one_of(column: SQLColumnExpression[Any], states: Iterable[str]) -> ColumnElement[bool]:
    """`column in (...)`, the same text each time: that an index with it is enough neither database sees of values that
    are parameters. `states` are the names of an enum, never a user's words."""
    return column.in_([literal_column(f"'{state}'") for state in sorted(states)])
