"""Conditions that partial indexes are made with, and that queries repeat to be answered from them."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, literal_column


def one_of(column: SQLColumnExpression[Any], states: Iterable[str]) -> ColumnElement[bool]:
    """`column in (...)`, the same text each time: that an index with it is enough neither database sees of values that
    are parameters. `states` are the names of an enum, never a user's words."""
    return column.in_([literal_column(f"'{state}'") for state in sorted(states)])
