"""Stored selections keep their meaning: no limit of copies, and near duplicates are reported but not dropped."""

from typing import Any

from service.store.schema.migrations.rewriting import rewrite_configs, rewrite_json

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_AS_BEFORE = {"near_duplicates": "report", "max_copies_per_image": None}


def upgrade() -> None:
    rewrite_configs(_config_as_before)
    rewrite_json("generations", ("run_id", "number"), "plan", _plan_as_before)


def _config_as_before(config: dict[str, Any]) -> dict[str, Any]:
    if "datasets" not in config:
        return config  # of no run
    new = {**config, "selection": _as_before(config.get("selection") or {})}
    overrides = config.get("generation_overrides")
    if isinstance(overrides, dict):
        new["generation_overrides"] = {number: _plan_as_before(each) for number, each in overrides.items()}
    return new


def _plan_as_before(plan: dict[str, Any]) -> dict[str, Any]:
    selection = plan.get("selection")
    return {**plan, "selection": _as_before(selection)} if isinstance(selection, dict) else plan


def _as_before(selection: dict[str, Any]) -> dict[str, Any]:
    return {**_AS_BEFORE, **selection}
