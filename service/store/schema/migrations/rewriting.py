"""Rewrites JSON in columns of text, for migrations that change what stored configurations and results look like."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

_ROWS_AT_ONCE = 1000

Change = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the new object; an equal one leaves the row alone."""


def rewrite_configs(change: Change) -> None:
    """Changes the configurations of all runs, also in answers that may be asked for again."""
    rewrite_json("runs", ("id",), "config", change)
    rewrite_json("idempotency_keys", ("key",), "answer", lambda answer: _in_parts(answer, ("config", "run"), change))


def rewrite_json(table: str, keys: tuple[str, ...], column: str, change: Change, where: str = "1 = 1") -> None:
    """Changes the JSON of a column, a thousand rows at a time. What is no object of JSON stays as it is.

    `keys` are the columns of the primary key, and `where` is a condition in SQL.
    """
    rows = sa.table(table, *(sa.column(key) for key in keys), sa.column(column))
    key = sa.tuple_(*(rows.c[name] for name in keys))
    chosen = sa.select(*(rows.c[name] for name in keys), rows.c[column]).where(sa.text(where))
    chosen = chosen.order_by(*(rows.c[name] for name in keys)).limit(_ROWS_AT_ONCE)
    matches = [rows.c[name] == sa.bindparam(f"of_{name}") for name in keys]
    changed = sa.update(rows).where(*matches).values({column: sa.bindparam("new")})
    connection = op.get_bind()
    found = connection.execute(chosen).all()
    while found:
        changes = [
            {**{f"of_{name}": value for name, value in zip(keys, of, strict=True)}, "new": new}
            for *of, text in found
            if (new := _changed(text, change)) is not None
        ]
        if changes:
            connection.execute(changed, changes)
        found = connection.execute(chosen.where(key > sa.tuple_(*found[-1][:-1]))).all()


def _in_parts(answer: dict[str, Any], names: tuple[str, ...], change: Change) -> dict[str, Any]:
    """The views of a run and of an estimate hold the configuration."""
    held = {name: change(answer[name]) for name in names if isinstance(answer.get(name), dict)}
    return {**answer, **held}


def _changed(text: str | None, change: Change) -> str | None:
    """The new JSON; None where there is nothing to change."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(value, dict) or (new := change(value)) == value:
        return None
    return json.dumps(new, ensure_ascii=False, separators=(",", ":"))
