"""The state machine's decisions about stages that make no progress, as values."""

from dataclasses import replace

import pytest

from service.config.policies import FaultTolerance, StallTimeouts
from service.lifecycle.actions import BeginStopping, CreateAttempt
from service.lifecycle.decide import decide
from service.lifecycle.run_rules import RunRules
from service.lifecycle.snapshots import Observed, RunSnapshot
from service.lifecycle.states import AttemptState
from service.ray_client.job_status import JobStatus
from tests.support.made_snapshots import NOW, make_attempt, make_failed, make_run, next_actions, progress
from workers.specs.reports import FailureReason, Waiting, WaitKind


def with_timeouts(run: RunSnapshot, schedule: float, stall: float) -> RunSnapshot:
    limits = FaultTolerance(schedule_timeout_seconds=schedule, stall_timeout_seconds=StallTimeouts(train=stall))
    return replace(run, rules=RunRules(fault_tolerance=limits))


def test_a_stage_whose_work_does_not_advance_is_hung_however_lively_it_looks() -> None:
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 90)
    run = with_timeouts(make_run(attempt), schedule=900, stall=60)

    assert next_actions(run, Observed(JobStatus.RUNNING, progress=progress(advanced_at=NOW - 59))) == []
    [action] = next_actions(run, Observed(JobStatus.RUNNING, progress=progress(advanced_at=NOW - 60)))
    expected = "no progress for 60 s at 3 of 10 steps"
    assert action == BeginStopping(0, "train", 1, FailureReason.HUNG, expected)


def test_a_stage_that_never_says_anything_is_hung_too() -> None:
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 60)
    run = with_timeouts(make_run(attempt), schedule=900, stall=60)

    assert next_actions(run, Observed(JobStatus.RUNNING), NOW - 1) == []
    [action] = next_actions(run, Observed(JobStatus.RUNNING))
    assert action == BeginStopping(0, "train", 1, FailureReason.HUNG, "no progress for 60 s since it began")


def test_a_stage_that_asks_for_more_than_the_cluster_has_is_unschedulable_at_its_deadline() -> None:
    for since, exceeds, ends in ((NOW - 60, True, True), (NOW - 59, True, False), (NOW - 80, False, False)):
        waiting = Waiting(since=since, reason="waiting for resources: needs 1 GPU", exceeds_cluster=exceeds)
        attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 90, waiting=waiting)
        run = with_timeouts(make_run(attempt), schedule=60, stall=900)
        actions = next_actions(run, Observed(JobStatus.RUNNING, progress=progress(waiting=waiting)))
        assert bool(actions) is ends
        if ends:
            assert actions[0].reason is FailureReason.UNSCHEDULABLE
            assert actions[0].message == "waiting for resources: needs 1 GPU; waited 60 s"


@pytest.mark.parametrize(
    ("kind", "exceeds", "waited", "expected"),
    [
        (WaitKind.NODE_COMING, True, 59, None),
        (WaitKind.NODE_COMING, True, 60, (FailureReason.NO_CAPACITY, "needs 1 GPU; waited 60 s")),
        (WaitKind.NODE_COMING, False, 60, (FailureReason.NO_CAPACITY, "needs 1 GPU; waited 60 s")),
        (WaitKind.CLUSTER_FULL, False, 80, None),
        (WaitKind.CLUSTER_TOO_SMALL, True, 59, None),
        (WaitKind.CLUSTER_TOO_SMALL, True, 60, (FailureReason.UNSCHEDULABLE, "needs 1 GPU; waited 60 s")),
        (WaitKind.BEYOND_GROUPS, True, 0, (FailureReason.UNSCHEDULABLE, "needs 1 GPU")),
    ],
)
def test_how_long_a_stage_waits_depends_on_what_it_waits_for(
    kind: WaitKind, exceeds: bool, waited: float, expected: tuple[FailureReason, str] | None
) -> None:
    waiting = Waiting(since=NOW - waited, reason="needs 1 GPU", exceeds_cluster=exceeds, kind=kind)
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 90, waiting=waiting)
    run = with_timeouts(make_run(attempt), schedule=60, stall=900)

    actions = next_actions(run, Observed(JobStatus.RUNNING, progress=progress(waiting=waiting)))

    assert actions == ([] if expected is None else [BeginStopping(0, "train", 1, *expected)])


def test_a_run_that_does_not_say_waits_as_long_as_the_service_says() -> None:
    waiting = Waiting(since=NOW - 60, reason="needs 1 GPU", exceeds_cluster=True, kind=WaitKind.NODE_COMING)
    run = make_run(make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 90, waiting=waiting))
    observed = Observed(JobStatus.RUNNING, progress=progress(waiting=waiting))

    assert decide(run, observed, NOW, max_attempts=4, schedule_timeout_seconds=61) == []
    [action] = decide(run, observed, NOW, max_attempts=4, schedule_timeout_seconds=60)
    assert isinstance(action, BeginStopping)


def test_a_slow_pool_of_nodes_never_fails_a_run_for_good() -> None:
    waited = [make_failed(number, FailureReason.NO_CAPACITY) for number in range(1, 301)]

    assert next_actions(make_run(*waited)) == [CreateAttempt(0, "train", 301)]


def test_a_job_that_ray_never_starts_is_tried_again_at_its_deadline() -> None:
    reason = "Ray has not started the stage's driver"
    waiting = Waiting(since=NOW - 60, reason=reason, exceeds_cluster=False, kind=WaitKind.DRIVER_PENDING)
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 60, waiting=waiting)
    run = with_timeouts(make_run(attempt), schedule=60, stall=10)

    assert next_actions(run, Observed(JobStatus.PENDING), NOW - 1) == []
    [action] = next_actions(run, Observed(JobStatus.PENDING))
    assert action.reason is FailureReason.NO_CAPACITY
