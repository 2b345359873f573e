"""What the state machine reads from a run's configuration."""

import json
from typing import Any

import pytest

from service.config.policies import FaultTolerance, RetrySettings, StallTimeouts
from service.config.stage_key import StageKey
from service.lifecycle.actions import CreateAttempt
from service.lifecycle.run_rules import RunRules, rules_of

SMALLEST: dict[str, Any] = {
    "name": "pets",
    "datasets": {"labeled": "ds-1", "unlabeled": "ds-2", "validation": "ds-3", "test": "ds-4"},
    "teacher_model": "resnet18",
    "student_models": ["resnet18"],
    "generations": 1,
}


def rules(**changes: Any) -> RunRules:
    return rules_of(json.dumps({**SMALLEST, **changes}))


def test_a_run_that_says_nothing_has_the_rules_of_all() -> None:
    assert rules() == RunRules()


def test_a_run_may_have_retries_and_deadlines_of_its_own() -> None:
    own = rules(
        fault_tolerance={
            "retry": {"max_attempts": 7},
            "schedule_timeout_seconds": 5.0,
            "stall_timeout_seconds": {"label": 60.0, "train": 30.0},
        }
    )

    assert own.fault_tolerance == FaultTolerance(
        retry=RetrySettings(max_attempts=7),
        schedule_timeout_seconds=5.0,
        stall_timeout_seconds=StallTimeouts(label=60.0, train=30.0),
    )


@pytest.mark.parametrize(("on_failure", "stops"), [("stop", True), ("go_on", False)])
def test_a_gate_says_whether_it_ends_the_run(on_failure: str, stops: bool) -> None:
    gate = {"conditions": ["top1 >= previous"], "on_failure": on_failure}

    assert rules(gate=gate).stops_at_gate is stops


def test_an_action_names_the_stage_of_its_run() -> None:
    assert CreateAttempt(2, "label", 3).key("run-1") == StageKey("run-1", 2, "label")
