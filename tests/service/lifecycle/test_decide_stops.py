"""When the state machine stops jobs, cancels and pauses, as values."""

from dataclasses import replace

from service.lifecycle.actions import (
    BeginStopping,
    CreateAttempt,
    EndAttempt,
    EndRun,
    FinishStage,
    MarkSubmitted,
    PauseRun,
    RequestPause,
    StopJob,
)
from service.lifecycle.decide import STOP_AGAIN_SECONDS, SUBMIT_IN_FLIGHT_SECONDS, UNSTOPPABLE_SECONDS
from service.lifecycle.snapshots import Observed
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.ray_client.job_status import JobStatus
from tests.support.made_snapshots import (
    FAILURE,
    NOW,
    RESULT,
    make_attempt,
    make_failed,
    make_generations,
    make_run,
    next_actions,
    progress,
)
from workers.specs.reports import FailureReason, StageFailure, Waiting


def test_a_result_written_while_its_job_is_stopped_is_kept() -> None:
    run = make_run(make_attempt(AttemptState.STOPPING), state=RunState.CANCELLING)

    assert next_actions(run, Observed(result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


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


def test_a_job_of_which_nobody_noted_when_it_was_last_asked_is_asked_again() -> None:
    """Attempts that were already stopping when a migration added the time of the last request."""
    stopping = make_attempt(AttemptState.STOPPING, failure_reason=FailureReason.CANCELLED, stop_requested_at=NOW - 1)

    assert next_actions(make_run(stopping), Observed(JobStatus.RUNNING)) == [StopJob(0, "train", 1)]


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
    """The reconciler may have died during its submission, and the job must not run on unnoticed."""
    attempt = replace(make_attempt(AttemptState.SUBMITTING), created_at=NOW)
    run = make_run(attempt, state=RunState.CANCELLING)

    assert next_actions(run, Observed(JobStatus.UNKNOWN), NOW + 1) == []
    assert next_actions(run, Observed(JobStatus.RUNNING), NOW + 1) == [MarkSubmitted(0, "train", 1)]
    [action] = next_actions(run, Observed(JobStatus.UNKNOWN), NOW + SUBMIT_IN_FLIGHT_SECONDS)
    assert action == EndAttempt(0, "train", 1, FailureReason.CANCELLED, "cancelled", maybe_alive=True)


def test_a_paused_submit_is_given_time_to_show_up_too() -> None:
    attempt = replace(make_attempt(AttemptState.SUBMITTING), created_at=NOW)
    run = make_run(attempt, state=RunState.PAUSING)

    assert next_actions(run, Observed(JobStatus.UNKNOWN), NOW + 1) == []
    [action] = next_actions(run, Observed(JobStatus.UNKNOWN), NOW + SUBMIT_IN_FLIGHT_SECONDS)
    why = "paused before it was submitted"
    assert action == EndAttempt(0, "train", 1, FailureReason.PAUSED, why, maybe_alive=True)


def test_a_run_cancelled_after_its_last_stage_is_cancelled() -> None:
    done = (GenerationState.SUCCEEDED, StageState.SUCCEEDED)
    run = replace(make_generations(done), state=RunState.CANCELLING)

    assert next_actions(run) == [EndRun(RunState.CANCELLED)]


def test_a_job_that_has_not_begun_when_it_is_stopped_need_not_end_for_its_attempt_to() -> None:
    """Ray cannot stop the job; if it ever starts, it finds out by itself."""
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
        expected = BeginStopping(0, "train", 1, FailureReason.PAUSED, "paused before its work began")
        assert next_actions(run, seen) == [expected]


def test_a_run_is_paused_once_no_job_is_alive() -> None:
    for attempts in ((), (make_failed(1, FailureReason.PAUSED),), (make_failed(1, FailureReason.USER_ERROR),)):
        assert next_actions(make_run(*attempts, state=RunState.PAUSING)) == [PauseRun()]


def test_a_resumed_run_goes_on_at_once_however_often_it_was_paused() -> None:
    paused = [make_failed(number, FailureReason.PAUSED, finished_at=NOW) for number in range(1, 9)]

    assert next_actions(make_run(*paused)) == [CreateAttempt(0, "train", 9)]
