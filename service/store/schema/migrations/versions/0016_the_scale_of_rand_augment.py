"""Every stored RandAugment says that its magnitude is on torchvision's scale, which was the only one."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_PLACES = (
    ("runs", ("id",), "config"),
    ("generations", ("run_id", "number"), "plan"),
    ("stages", ("run_id", "generation", "name"), "result"),
    ("idempotency_keys", ("key",), "answer"),
)
_NAME = "rand_augment"
_AS_BEFORE = {"scale": "torchvision", "n": 2, "m": 27}
_ROWS_AT_ONCE = 1000


def upgrade() -> None:
    for table, key, column in _PLACES:
        _rewrite(table, key, column)


def _rewrite(table: str, key: tuple[str, ...], column: str) -> None:
    """Changes the JSON of a column, a thousand rows at a time."""
    rows = sa.table(table, *(sa.column(name) for name in (*key, column)))
    place, text = [rows.c[name] for name in key], rows.c[column]
    chosen = sa.select(*place, text).where(text.contains(f'"{_NAME}')).order_by(*place).limit(_ROWS_AT_ONCE)
    changed = sa.update(rows).where(*(rows.c[name] == sa.bindparam(f"of_{name}") for name in key))
    changed = changed.values({column: sa.bindparam("new")})
    connection = op.get_bind()
    found = connection.execute(chosen).all()
    while found:
        changes = [
            {f"of_{name}": value for name, value in zip(key, at, strict=True)} | {"new": new}
            for *at, old in found
            if (new := _changed(old)) is not None
        ]
        if changes:
            connection.execute(changed, changes)
        found = connection.execute(chosen.where(sa.tuple_(*place) > sa.tuple_(*found[-1][:-1]))).all()


def _changed(text: str) -> str | None:
    """The new JSON; None where there is nothing to change."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    new = _with_scale(value)
    return None if new == value else json.dumps(new, ensure_ascii=False, separators=(",", ":"))


def _with_scale(value: Any) -> Any:
    """The value with a scale in every RandAugment, and in the parameters of every trial of a search."""
    if isinstance(value, list):
        return [_with_scale(each) for each in value]
    if not isinstance(value, dict):
        return value
    new = {name: _with_scale(each) for name, each in value.items()}
    if isinstance(new.get(_NAME), dict):
        new[_NAME] = {**_AS_BEFORE, **new[_NAME]}
    if "rand_augment_m" in new and "model" in new:
        new.setdefault("rand_augment_scale", "torchvision")
    return new
