"""The state machine's decisions after the gate has refused a student, as values."""

from dataclasses import replace

from service.lifecycle.actions import BeginStopping, CreateAttempt, EndRun
from service.lifecycle.run_rules import RunRules
from service.lifecycle.snapshots import Observed, RunSnapshot
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.ray_client.job_status import JobStatus
from tests.support.made_snapshots import make_attempt, make_generations, next_actions
from workers.specs.reports import FailureReason

DONE = (GenerationState.SUCCEEDED, StageState.SUCCEEDED)
NEXT = (GenerationState.PENDING, StageState.PENDING)
WHY = "generation 1 was not promoted: top1 >= previous: top1 is 0.7, the teacher's 0.8"


def judged(run: RunSnapshot, promoted: bool | None, stops_at_gate: bool = True) -> RunSnapshot:
    """The run after the gate has judged generation 1 in this way."""
    teacher, student, *others = run.generations
    reason = "top1 >= previous: top1 is 0.7, the teacher's 0.8" if promoted is False else None
    student = replace(student, promoted=promoted, gate_reason=reason)
    return replace(run, generations=(teacher, student, *others), rules=RunRules(stops_at_gate=stops_at_gate))


def test_a_refused_student_ends_the_run_before_the_next_generation() -> None:
    run = judged(make_generations(DONE, DONE, NEXT), promoted=False)

    assert next_actions(run) == [EndRun(RunState.GATED, 2, "label", WHY)]


def test_a_refused_last_student_ends_the_run_as_gated_too() -> None:
    assert next_actions(judged(make_generations(DONE, DONE), promoted=False)) == [EndRun(RunState.GATED, reason=WHY)]


def test_a_run_that_goes_on_after_its_gate_begins_the_next_generation() -> None:
    run = judged(make_generations(DONE, DONE, NEXT), promoted=False, stops_at_gate=False)

    assert next_actions(run) == [CreateAttempt(2, "label", 1)]


def test_a_student_that_was_promoted_or_not_judged_ends_nothing() -> None:
    for promoted in (True, None):
        run = judged(make_generations(DONE, DONE, NEXT), promoted=promoted)
        assert next_actions(run) == [CreateAttempt(2, "label", 1)]


def test_a_run_that_is_cancelled_ends_as_cancelled_whatever_its_gate_says() -> None:
    run = replace(judged(make_generations(DONE, DONE, NEXT), promoted=False), state=RunState.CANCELLING)

    assert next_actions(run) == [EndRun(RunState.CANCELLED, 2, "label")]


def test_a_job_that_runs_when_its_cancelled_run_was_gated_is_stopped_first() -> None:
    run = judged(make_generations(DONE, DONE, (GenerationState.RUNNING, StageState.RUNNING)), promoted=False)
    *before, last = run.generations
    [stage] = last.stages
    last = replace(last, stages=(replace(stage, attempts=(make_attempt(AttemptState.SUBMITTED),)),))
    run = replace(run, generations=(*before, last), state=RunState.CANCELLING)

    expected = BeginStopping(2, "label", 1, FailureReason.CANCELLED, "cancelled")
    assert next_actions(run, Observed(JobStatus.RUNNING)) == [expected]
