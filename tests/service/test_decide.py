"""The state machine, as values: no database, no clock, no Ray."""

from dataclasses import replace
from typing import Any

from service.actions import (
    BeginStopping,
    CreateAttempt,
    EndAttempt,
    EndRun,
    FinishGeneration,
    FinishStage,
    MarkSubmitted,
    StopJob,
    SubmitAttempt,
)
from service.decide import STOP_AGAIN_SECONDS, SUBMIT_IN_FLIGHT_SECONDS, decide
from service.snapshots import (
    NOTHING_OBSERVED,
    AttemptSnapshot,
    GenerationSnapshot,
    JobStatus,
    Observed,
    RunSnapshot,
    StageSnapshot,
)
from service.states import AttemptState, GenerationState, RunState, StageState
from workers.specs.stages import FailureReason, StageFailure, StageTiming, TrainResult

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
    )

    assert next_actions(make_run(stopping), Observed(JobStatus.RUNNING)) == []
    expected = EndAttempt(0, "train", 1, FailureReason.STAGE_ERROR, "boom")
    assert next_actions(make_run(stopping), Observed(JobStatus.STOPPED)) == [expected]
    assert next_actions(make_run(stopping), Observed(JobStatus.UNKNOWN)) == [expected]


def test_a_job_that_does_not_stop_is_asked_again() -> None:
    stopping = make_attempt(AttemptState.STOPPING, failure_reason=FailureReason.CANCELLED)
    observed = Observed(JobStatus.RUNNING)

    assert next_actions(make_run(stopping), observed) == [StopJob(0, "train", 1)]
    asked = replace(stopping, stop_requested_at=NOW)
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
    failures = [make_failed(number, FailureReason.JOB_LOST) for number in range(1, 5)]

    [action] = next_actions(make_run(*failures))

    assert isinstance(action, EndRun)
    assert action.state is RunState.FAILED


def test_attempts_before_a_retry_do_not_count() -> None:
    failures = [make_failed(number, FailureReason.USER_ERROR) for number in range(1, 5)]

    assert next_actions(make_run(*failures, attempts_before_retry=4)) == [CreateAttempt(0, "train", 5)]


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
    assert action == EndAttempt(0, "train", 1, FailureReason.CANCELLED, "cancelled")


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
