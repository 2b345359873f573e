"""Four fields of a run's configuration become the group `fault_tolerance`; also in answers that may be asked again."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_GROUP = "fault_tolerance"
_FIELDS = ("retry", "schedule_timeout_seconds", "stall_timeout_seconds", "max_bad_fraction")
_ROWS_AT_ONCE = 1000


def upgrade() -> None:
    _rewrite("runs", "id", "config", _grouped)
    _rewrite("idempotency_keys", "key", "answer", _with_grouped_config)


def _grouped(config: dict[str, Any]) -> dict[str, Any]:
    moved = {name: config[name] for name in _FIELDS if name in config}
    if not moved:
        return config
    kept = {name: value for name, value in config.items() if name not in moved}
    return {**kept, _GROUP: {**moved, **config.get(_GROUP, {})}}


def _with_grouped_config(answer: dict[str, Any]) -> dict[str, Any]:
    """The views of a run and of an estimate hold the configuration."""
    held = {name: _grouped(answer[name]) for name in ("config", "run") if isinstance(answer.get(name), dict)}
    return {**answer, **held}


def _rewrite(table: str, key: str, column: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Changes the JSON of a column, a thousand rows at a time. What is no object of JSON stays as it is."""
    rows = sa.table(table, sa.column(key), sa.column(column))
    chosen = sa.select(rows.c[key], rows.c[column]).order_by(rows.c[key]).limit(_ROWS_AT_ONCE)
    changed = sa.update(rows).where(rows.c[key] == sa.bindparam("of")).values({column: sa.bindparam("new")})
    connection = op.get_bind()
    found = connection.execute(chosen).all()
    while found:
        changes = [{"of": name, "new": new} for name, text in found if (new := _changed(text, change)) is not None]
        if changes:
            connection.execute(changed, changes)
        found = connection.execute(chosen.where(rows.c[key] > found[-1][0])).all()


def _changed(text: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str | None:
    """The new JSON; None where there is nothing to change."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or (new := change(value)) == value:
        return None
    return json.dumps(new, ensure_ascii=False, separators=(",", ":"))
