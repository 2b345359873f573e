"""What every stage must have. If a new stage is missing somewhere, a test here names the place."""

import ast
import inspect
from typing import Any, get_args

import pytest

from service.config.policies import StallTimeouts
from service.estimates import stage_bills
from service.retention.decisions import ARTIFACTS_OF
from service.stages.order import SEARCHED_STUDENT_STAGES, STUDENT_STAGES, TEACHER_STAGES
from service.store import run_store
from tests.support import made_results
from workers.entrypoint import STAGES
from workers.runtime import capacity
from workers.specs.results import AnyStageResult
from workers.specs.stages import AnyStageSpec, StageName

STAGE_NAMES = set(get_args(StageName))
OF_GENERATIONS = {*TEACHER_STAGES, *STUDENT_STAGES, *SEARCHED_STUDENT_STAGES}
ASK_FOR_NOTHING = {"select", "verify"}
"""Stages that do not wait for actors or workers before they start."""


def named_by(union: Any) -> set[str]:
    """The stages of a union of specs or results."""
    members = get_args(get_args(union)[0])
    return {member.model_fields["stage"].default for member in members}


def cases_of(function: Any) -> set[str]:
    """The stages that the `match` statement of a function names."""
    tree = ast.parse(inspect.getsource(function))
    patterns = [node for case in ast.walk(tree) if isinstance(case, ast.match_case) for node in ast.walk(case.pattern)]
    values = [node.value for node in patterns if isinstance(node, ast.MatchValue)]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}


@pytest.mark.parametrize(
    ("what", "stages"),
    [
        ("a spec", named_by(AnyStageSpec)),
        ("a result", named_by(AnyStageResult)),
        ("a function that runs it", set(STAGES)),
        ("a deadline without progress", set(StallTimeouts.model_fields)),
        ("artifacts that may go", set(ARTIFACTS_OF)),
        ("a made result for tests", cases_of(made_results.made_result)),
        ("a place in a run", OF_GENERATIONS | set(run_store._ONLY_STAGE.values())),
        ("a demand on the cluster", cases_of(capacity.demand_of) | ASK_FOR_NOTHING),
    ],
)
def test_every_stage_has(what: str, stages: set[str]) -> None:
    assert stages == STAGE_NAMES, what


def test_every_stage_of_a_generation_has_a_line_of_the_bill() -> None:
    assert set(stage_bills._STAGES) == OF_GENERATIONS


def test_every_stages_function_is_where_the_entrypoint_looks_for_it() -> None:
    for stage, (module, function) in STAGES.items():
        package, name = module.removeprefix("workers.").split(".")
        assert (name, function) == ("stage", f"run_{stage}"), package
