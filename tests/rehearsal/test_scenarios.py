"""The scenarios without a cluster: their runs are valid, and each fault strikes once, at its moment."""

import json
from collections.abc import Callable

import pytest

from service.config.run import RunConfig
from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.scenarios import SCENARIOS
from tests.rehearsal.watch import Fault, Sight, strike
from workers.specs.reports import WaitKind

IDS = {part: f"ds-{part}" for part in ("labeled", "unlabeled", "validation", "test")}


def sight(stage: str, done: int = 0, waiting: WaitKind | None = None, has_begun: bool = False) -> Sight:
    return Sight(0.0, "run", stage, 1, "running", done, has_begun, waiting, "")


SIGHTS = [
    sight("gen-0/train", waiting=WaitKind.NODE_COMING),
    sight("gen-0/train", done=20, has_begun=True),
    sight("gen-0/train", done=40, has_begun=True),
    sight("gen-0/train", done=60, has_begun=True),
    sight("gen-0/evaluate", waiting=WaitKind.NODE_COMING),
    sight("gen-1/label", waiting=WaitKind.NODE_COMING),
    sight("gen-1/label", has_begun=True),
]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_runs_of_a_scenario_are_valid(name: str) -> None:
    for body in SCENARIOS[name].bodies(IDS):
        RunConfig.model_validate_json(json.dumps(body))


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_fault_of_a_scenario_finds_its_moment(name: str) -> None:
    generations = {body["generations"] for body in SCENARIOS[name].bodies(IDS)}
    for fault in SCENARIOS[name].faults:
        struck = [each.stage for each in SIGHTS if fault.when(each)]
        assert struck, name
        assert all(int(stage[4]) <= max(generations) for stage in struck)


def test_a_fault_strikes_once_at_its_moment() -> None:
    moments: list[int] = []

    def fault(done: int) -> Fault:
        return Fault(lambda seen: seen.done >= done, _noting(moments, done))

    to_come = [fault(40), fault(10)]
    for each in (sight("gen-0/train", done=steps) for steps in (0, 20, 60, 80)):
        strike(to_come, each, rehearsal=None)  # type: ignore[arg-type]

    assert (moments, to_come) == ([10, 40], [])


def _noting(moments: list[int], done: int) -> Callable[[Rehearsal], None]:
    return lambda rehearsal: moments.append(done)
