"""A column type for text from outside (a traceback, Ray's message, a receiver's answer), and a condition on states."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Dialect, SQLColumnExpression, Text, literal_column
from sqlalchemy.types import TypeDecorator


class PlainText(TypeDecorator[str]):
    """Text without the characters that a database refuses: PostgreSQL stores no NUL, and UTF-8 no lone surrogate.

    Recording a failure must not fail itself: otherwise every following tick would fail in the same way.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else plain(value)


def plain(text: str) -> str:
    """Returns the text without NULs and with a question mark in place of each lone surrogate."""
    return text.replace("\0", "").encode(errors="replace").decode()


def one_of(column: SQLColumnExpression[Any], states: Iterable[str]) -> ColumnElement[bool]:
    """Returns the condition `column in (...)` with the states as literals, always in the same order.

    Neither database uses a partial index if the query passes the states as parameters. `states` must be an enum's
    values, never a user's input.
    """
    return column.in_([literal_column(f"'{state}'") for state in sorted(states)])
