"""Gates and ablations say on which images they judge. Those of earlier versions judged on the test images."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from service.store.schema.migrations.rewriting import rewrite_configs, rewrite_json

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_NEW_NAMES = {"test_top1": "top1", "test_error": "error", "test_error_deviation": "error_deviation"}


def upgrade() -> None:
    op.add_column("generations", sa.Column("gate_on", sa.String(), nullable=True))
    op.execute("UPDATE generations SET gate_on = 'test' WHERE promoted IS NOT NULL")
    rewrite_configs(_gate_on_test)
    rewrite_json("generations", ("run_id", "number"), "plan", _ablation_on_test)
    rewrite_json("stages", ("run_id", "generation", "name"), "result", _outcome_on_test, where="name = 'ablate'")


def _gate_on_test(config: dict[str, Any]) -> dict[str, Any]:
    return _on_test(config, "gate")


def _ablation_on_test(plan: dict[str, Any]) -> dict[str, Any]:
    return _on_test(plan, "ablation")


def _outcome_on_test(result: dict[str, Any]) -> dict[str, Any]:
    outcome = result.get("outcome")
    if not isinstance(outcome, dict):
        return result
    lists = {
        name: [_renamed(each) for each in outcome[name]]
        for name in ("lines", "trainings")
        if isinstance(outcome.get(name), list)
    }
    return {**result, "outcome": {"on": "test", **outcome, **lists}}


def _on_test(value: dict[str, Any], part: str) -> dict[str, Any]:
    settings = value.get(part)
    return {**value, part: {"on": "test", **settings}} if isinstance(settings, dict) else value


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {_NEW_NAMES.get(name, name): value for name, value in values.items()}
