"""A recipe's `begin_with` becomes its `init`. Weights of a teacher change no other field of a stored recipe."""

from typing import Any

from service.store.schema.migrations.rewriting import rewrite_json

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_PLACES = (
    ("runs", ("id",), "config"),
    ("generations", ("run_id", "number"), "plan"),
    ("stages", ("run_id", "generation", "name"), "result"),
    ("idempotency_keys", ("key",), "answer"),
)
_INITS = {"scratch": {"kind": "random"}, "teacher": {"kind": "teacher", "follow": []}}


def upgrade() -> None:
    for table, keys, column in _PLACES:
        rewrite_json(table, keys, column, _with_init, where=f"{column} LIKE '%begin_with%'")


def _with_init(value: Any) -> Any:
    """The value with `init` in every recipe that says what to begin with."""
    if isinstance(value, list):
        return [_with_init(each) for each in value]
    if not isinstance(value, dict):
        return value
    new = {name: _with_init(each) for name, each in value.items()}
    if (begin_with := new.get("begin_with")) in ("scratch", "teacher"):
        del new["begin_with"]
        new["init"] = _INITS[begin_with]
    return new
