"""The state machine, as values: no database, no clock, no Ray."""

from dataclasses import replace
from typing import Any

import pytest

from service.actions import (
    BeginStopping,
    CreateAttempt,
    EndAttempt,
    EndRun,
    FinishGeneration,
    FinishStage,
    MarkSubmitted,
    PauseRun,
    RequestPause,
    StopJob,
    SubmitAttempt,
)
from service.decide import STOP_AGAIN_SECONDS, SUBMIT_IN_FLIGHT_SECONDS, UNSTOPPABLE_SECONDS, decide
from service.run_rules import RunRules
from service.snapshots import (
    NOTHING_OBSERVED,
    AttemptSnapshot,
    GenerationSnapshot,
    JobStatus,
    Observed,
    RunSnapshot,
    StageSnapshot,
)
from service.stage_timeouts import StageTimeouts, StallTimeouts
from service.states import AttemptState, GenerationState, RunState, StageState
from workers.specs.reports import FailureReason, Progress, StageFailure, Waiting
from workers.specs.results import StageTiming, TrainResult

NOW = 1000.0
RESULT = TrainResult(
    attempt=1,
    timing=StageTiming(entered_at=0, work_started_at=1, work_ended_at=2),
    model_uri="/models",
    parameters=1,
    steps=1,
    resumed_from_step=0,
    images_seen=1,
    final_loss=0.0,
    validation_top1=1.0,
    bad_images=0,
)
FAILURE = StageFailure(attempt=1, reason=FailureReason.STAGE_ERROR, message="boom")


def make_attempt(state: AttemptState, number: int = 1, **changes: Any) -> AttemptSnapshot:
    return AttemptSnapshot(number=number, state=state, created_at=NOW - 100, **changes)


def make_failed(number: int, reason: FailureReason, finished_at: float = NOW - 90) -> AttemptSnapshot:
    return make_attempt(
        AttemptState.FAILED, number, failure_reason=reason, failure_message="why", finished_at=finished_at
    )


def make_run(
    *attempts: AttemptSnapshot, state: RunState = RunState.RUNNING, attempts_before_retry: int = 0
) -> RunSnapshot:
    """Generation 0, with these attempts at its train stage."""
    train = StageSnapshot(0, "train", StageState.RUNNING, attempts, attempts_before_retry)
    evaluate = StageSnapshot(0, "evaluate", StageState.PENDING)
    return RunSnapshot("run-1", state, (GenerationSnapshot(0, GenerationState.RUNNING, (train, evaluate)),))


def next_actions(run: RunSnapshot, observed: Observed = NOTHING_OBSERVED, now: float = NOW) -> list[Any]:
    return decide(run, observed, now, max_attempts=4)


def test_a_stage_without_attempts_gets_its_first() -> None:
    assert next_actions(make_run()) == [CreateAttempt(0, "train", 1)]


def test_an_attempt_that_ray_does_not_know_is_submitted() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTING))

    assert next_actions(run, Observed(JobStatus.UNKNOWN)) == [SubmitAttempt(0, "train", 1)]


def test_an_attempt_that_ray_knows_already_is_not_submitted_again() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTING))

    assert next_actions(run, Observed(JobStatus.RUNNING)) == [MarkSubmitted(0, "train", 1)]


def test_nothing_is_done_while_ray_does_not_answer() -> None:
    for state in (AttemptState.SUBMITTING, AttemptState.SUBMITTED, AttemptState.STOPPING):
        for run_state in (RunState.RUNNING, RunState.CANCELLING):
            run = make_run(make_attempt(state), state=run_state)
            assert next_actions(run, Observed(JobStatus.UNAVAILABLE, failure=FAILURE)) == []


def test_a_running_job_is_waited_for() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    assert next_actions(run, Observed(JobStatus.PENDING)) == []
    assert next_actions(run, Observed(JobStatus.RUNNING)) == []


def test_a_result_finishes_the_stage_before_its_ray_job_has_ended() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    assert next_actions(run, Observed(JobStatus.RUNNING, result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


def test_a_result_counts_while_ray_does_not_answer() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTING))

    assert next_actions(run, Observed(JobStatus.UNAVAILABLE, result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


def test_a_result_written_while_its_job_is_stopped_is_kept() -> None:
    run = make_run(make_attempt(AttemptState.STOPPING), state=RunState.CANCELLING)

    assert next_actions(run, Observed(result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


def test_a_lost_job_ends_its_attempt() -> None:
    [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(JobStatus.UNKNOWN))

    assert isinstance(action, EndAttempt)
    assert action.reason is FailureReason.JOB_LOST


def test_a_lost_job_starts_a_new_attempt() -> None:
    run = make_run(make_failed(1, FailureReason.JOB_LOST))

    assert next_actions(run) == [CreateAttempt(0, "train", 2)]


def test_a_job_that_ended_without_a_word_is_a_failed_job() -> None:
    for status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SUCCEEDED):
        [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(status, "killed"))
        assert isinstance(action, EndAttempt)
        assert action.reason is FailureReason.JOB_FAILED
        assert "killed" in action.message


def test_the_stages_own_word_says_why_its_job_ended() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    for status in (JobStatus.FAILED, JobStatus.UNKNOWN):
        expected = EndAttempt(0, "train", 1, FailureReason.STAGE_ERROR, "boom")
        assert next_actions(run, Observed(status, failure=FAILURE)) == [expected]


def test_a_failed_stage_whose_job_is_alive_is_stopped_first() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    expected = BeginStopping(0, "train", 1, FailureReason.STAGE_ERROR, "boom")
    assert next_actions(run, Observed(JobStatus.RUNNING, failure=FAILURE)) == [expected]


def test_no_attempt_begins_before_the_job_of_the_last_one_has_ended() -> None:
    stopping = make_attempt(
        AttemptState.STOPPING,
        failure_reason=FailureReason.STAGE_ERROR,
        failure_message="boom",
        stop_requested_at=NOW - 1,
        stop_asked_at=NOW - 1,
    )

    assert next_actions(make_run(stopping), Observed(JobStatus.RUNNING)) == []
    expected = EndAttempt(0, "train", 1, FailureReason.STAGE_ERROR, "boom")
    assert next_actions(make_run(stopping), Observed(JobStatus.STOPPED)) == [expected]
    forgotten = replace(expected, maybe_alive=True)
    assert next_actions(make_run(stopping), Observed(JobStatus.UNKNOWN)) == [forgotten]


def test_a_job_that_does_not_stop_is_asked_again() -> None:
    stopping = make_attempt(AttemptState.STOPPING, failure_reason=FailureReason.CANCELLED)
    observed = Observed(JobStatus.RUNNING)

    assert next_actions(make_run(stopping), observed) == [StopJob(0, "train", 1)]
    asked = replace(stopping, stop_requested_at=NOW - 1, stop_asked_at=NOW)
    assert next_actions(make_run(asked), observed, NOW + STOP_AGAIN_SECONDS - 0.1) == []
    assert next_actions(make_run(asked), observed, NOW + STOP_AGAIN_SECONDS) == [StopJob(0, "train", 1)]


def test_the_next_attempt_waits_for_its_delay() -> None:
    run = make_run(make_failed(1, FailureReason.JOB_LOST, finished_at=NOW))

    assert next_actions(run, now=NOW + 0.9) == []
    assert next_actions(run, now=NOW + 1.0) == [CreateAttempt(0, "train", 2)]


def test_a_users_mistake_fails_the_run_at_once_and_says_why() -> None:
    [action] = next_actions(make_run(make_failed(1, FailureReason.USER_ERROR)))

    assert action == EndRun(RunState.FAILED, 0, "train", "generation 0, train: user_error: why")


def test_the_run_fails_when_the_attempts_are_used_up() -> None:
    failures = [make_failed(number, FailureReason.JOB_FAILED) for number in range(1, 5)]

    [action] = next_actions(make_run(*failures))

    assert isinstance(action, EndRun)
    assert action.state is RunState.FAILED


def test_attempts_before_a_retry_do_not_count() -> None:
    failures = [make_failed(number, FailureReason.USER_ERROR) for number in range(1, 5)]

    assert next_actions(make_run(*failures, attempts_before_retry=4)) == [CreateAttempt(0, "train", 5)]


def test_a_job_that_does_not_stop_is_given_up_after_a_minute() -> None:
    stopping = make_attempt(AttemptState.STOPPING, failure_reason=FailureReason.STAGE_ERROR, failure_message="died")
    run = make_run(
        replace(stopping, stop_requested_at=NOW - UNSTOPPABLE_SECONDS, stop_asked_at=NOW - STOP_AGAIN_SECONDS)
    )
    given_up = EndAttempt(0, "train", 1, FailureReason.STAGE_ERROR, "died")
    assert next_actions(run, Observed(JobStatus.RUNNING)) == [given_up]


def test_cancelling_stops_the_running_job() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED), state=RunState.CANCELLING)

    [action] = next_actions(run, Observed(JobStatus.RUNNING))

    assert action == BeginStopping(0, "train", 1, FailureReason.CANCELLED, "cancelled")


def test_a_run_is_cancelled_once_no_job_is_alive() -> None:
    for attempts in ((), (make_attempt(AttemptState.CANCELLED),), (make_failed(1, FailureReason.JOB_LOST),)):
        run = make_run(*attempts, state=RunState.CANCELLING)
        assert next_actions(run) == [EndRun(RunState.CANCELLED, 0, "train")]


def test_a_cancelled_submit_is_given_time_to_show_up() -> None:
    """The reconciler may have died with its submit on the way: the job must not run on unnoticed."""
    attempt = replace(make_attempt(AttemptState.SUBMITTING), created_at=NOW)
    run = make_run(attempt, state=RunState.CANCELLING)

    assert next_actions(run, Observed(JobStatus.UNKNOWN), NOW + 1) == []
    assert next_actions(run, Observed(JobStatus.RUNNING), NOW + 1) == [MarkSubmitted(0, "train", 1)]
    [action] = next_actions(run, Observed(JobStatus.UNKNOWN), NOW + SUBMIT_IN_FLIGHT_SECONDS)
    assert action == EndAttempt(0, "train", 1, FailureReason.CANCELLED, "cancelled", maybe_alive=True)


def test_a_generation_whose_stages_have_succeeded_is_finished() -> None:
    run = make_generations(
        (GenerationState.RUNNING, StageState.SUCCEEDED), (GenerationState.PENDING, StageState.PENDING)
    )

    assert next_actions(run) == [FinishGeneration(0)]


def test_the_next_generation_begins_with_its_first_stage() -> None:
    run = make_generations(
        (GenerationState.SUCCEEDED, StageState.SUCCEEDED), (GenerationState.PENDING, StageState.PENDING)
    )

    assert next_actions(run) == [CreateAttempt(1, "label", 1)]


def test_a_run_whose_generations_have_succeeded_has_succeeded() -> None:
    done = (GenerationState.SUCCEEDED, StageState.SUCCEEDED)

    assert next_actions(make_generations(done, done)) == [EndRun(RunState.SUCCEEDED)]


def test_a_run_cancelled_after_its_last_stage_is_cancelled() -> None:
    done = (GenerationState.SUCCEEDED, StageState.SUCCEEDED)
    run = replace(make_generations(done), state=RunState.CANCELLING)

    assert next_actions(run) == [EndRun(RunState.CANCELLED)]


def make_generations(*states: tuple[GenerationState, StageState]) -> RunSnapshot:
    """Generations with one stage each, in these states."""
    generations = tuple(
        GenerationSnapshot(number, generation, (StageSnapshot(number, "train" if number == 0 else "label", stage),))
        for number, (generation, stage) in enumerate(states)
    )
    return RunSnapshot("run-1", RunState.RUNNING, generations)


def progress(**changes: Any) -> Progress:
    known: dict[str, Any] = {"attempt": 1, "done": 3, "total": 10, "unit": "steps", "entered_at": 0.0}
    return Progress(**{**known, "work_started_at": None, "updated_at": NOW, "advanced_at": NOW, **changes})


def with_timeouts(run: RunSnapshot, schedule: float, stall: float) -> RunSnapshot:
    timeouts = StageTimeouts(schedule_timeout_seconds=schedule, stall_timeout_seconds=StallTimeouts(train=stall))
    return replace(run, rules=RunRules(timeouts=timeouts))


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
    assert action.reason is FailureReason.HUNG


def test_a_stage_that_asks_for_more_than_the_cluster_has_is_unschedulable_at_its_deadline() -> None:
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 90)
    run = with_timeouts(make_run(attempt), schedule=60, stall=900)
    for since, exceeds, ends in ((NOW - 60, True, True), (NOW - 59, True, False), (NOW - 80, False, False)):
        waiting = Waiting(since=since, reason="waiting for resources: needs 1 GPU", exceeds_cluster=exceeds)
        actions = next_actions(run, Observed(JobStatus.RUNNING, progress=progress(waiting=waiting)))
        assert bool(actions) is ends
        if ends:
            assert actions[0].reason is FailureReason.UNSCHEDULABLE
            assert actions[0].message == "waiting for resources: needs 1 GPU; waited 60 s"


def test_a_job_that_ray_never_starts_is_unschedulable_at_its_deadline() -> None:
    attempt = make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 60)
    run = with_timeouts(make_run(attempt), schedule=60, stall=10)

    assert next_actions(run, Observed(JobStatus.PENDING), NOW - 1) == []
    [action] = next_actions(run, Observed(JobStatus.PENDING))
    assert action.reason is FailureReason.UNSCHEDULABLE


def test_a_job_that_has_not_begun_when_it_is_stopped_need_not_end_for_its_attempt_to() -> None:
    """Ray cannot stop it; it finds out for itself should it ever begin."""
    stopping = make_attempt(
        AttemptState.STOPPING,
        failure_reason=FailureReason.CANCELLED,
        stop_requested_at=NOW - 5,
        stop_asked_at=NOW - 5,
    )
    run = make_run(stopping, state=RunState.CANCELLING)

    assert next_actions(run, Observed(JobStatus.PENDING), NOW - 1) == []
    assert next_actions(run, Observed(JobStatus.PENDING)) == [EndAttempt(0, "train", 1, FailureReason.CANCELLED, "")]


def test_pausing_asks_the_stage_once_and_waits_for_its_unit() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED), state=RunState.PAUSING)
    seen = Observed(JobStatus.RUNNING, progress=progress())

    assert next_actions(run, seen) == [RequestPause(0, "train", 1)]
    asked = make_run(make_attempt(AttemptState.SUBMITTED, pause_requested_at=NOW), state=RunState.PAUSING)
    assert next_actions(asked, seen) == []
    paused = StageFailure(attempt=1, reason=FailureReason.PAUSED, message="at step 3")
    expected = EndAttempt(0, "train", 1, FailureReason.PAUSED, "at step 3")
    assert next_actions(asked, Observed(JobStatus.FAILED, failure=paused)) == [expected]


def test_pausing_ends_what_has_not_begun_to_work() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED), state=RunState.PAUSING)
    waiting = Waiting(since=NOW, reason="waiting", exceeds_cluster=False)

    for seen in (Observed(JobStatus.PENDING), Observed(JobStatus.RUNNING, progress=progress(waiting=waiting))):
        [action] = next_actions(run, seen)
        assert (type(action), action.reason) == (BeginStopping, FailureReason.PAUSED)


def test_a_run_is_paused_once_no_job_is_alive() -> None:
    for attempts in ((), (make_failed(1, FailureReason.PAUSED),), (make_failed(1, FailureReason.USER_ERROR),)):
        assert next_actions(make_run(*attempts, state=RunState.PAUSING)) == [PauseRun()]


def test_a_resumed_run_goes_on_at_once_however_often_it_was_paused() -> None:
    paused = [make_failed(number, FailureReason.PAUSED, finished_at=NOW) for number in range(1, 9)]

    assert next_actions(make_run(*paused)) == [CreateAttempt(0, "train", 9)]


def test_a_stage_that_the_queue_holds_back_is_not_started() -> None:
    assert decide(make_run(), NOTHING_OBSERVED, NOW, max_attempts=4, may_start=False) == []


def test_the_queue_does_not_hold_back_the_end_of_a_run() -> None:
    run = make_run(make_failed(1, FailureReason.USER_ERROR))

    [action] = decide(run, NOTHING_OBSERVED, NOW, max_attempts=4, may_start=False)
    assert isinstance(action, EndRun)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Job supervisor actor died: The actor died.\n\tthe actor's node was preempted: spot", FailureReason.PREEMPTED),
        ("Job supervisor actor died: The actor died because its node has died. Node Id: 7", FailureReason.NODE_LOST),
        ("Job supervisor actor died: Task was killed due to the node running low on memory.", "out_of_memory"),
        ("Job supervisor actor died: The actor died unexpectedly", FailureReason.JOB_FAILED),
        ("Job supervisor actor failed to start within 900.0 seconds.", FailureReason.UNSCHEDULABLE),
        # A line of the driver's log proves nothing.
        (
            "Job entrypoint command failed with exit code -9, last ...:\nthe node was preempted",
            FailureReason.JOB_FAILED,
        ),
    ],
)
def test_rays_own_account_says_why_a_job_ended_without_a_word(message: str, reason: FailureReason) -> None:
    [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(JobStatus.FAILED, message))

    assert action.reason == reason
