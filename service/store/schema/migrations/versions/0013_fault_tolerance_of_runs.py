"""Four fields of a run's configuration become the group `fault_tolerance`; also in answers that may be asked again."""

from typing import Any

from service.store.schema.migrations.rewriting import rewrite_configs

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_GROUP = "fault_tolerance"
_FIELDS = ("retry", "schedule_timeout_seconds", "stall_timeout_seconds", "max_bad_fraction")


def upgrade() -> None:
    rewrite_configs(_grouped)


def _grouped(config: dict[str, Any]) -> dict[str, Any]:
    moved = {name: config[name] for name in _FIELDS if name in config}
    if not moved:
        return config
    kept = {name: value for name, value in config.items() if name not in moved}
    return {**kept, _GROUP: {**moved, **config.get(_GROUP, {})}}
