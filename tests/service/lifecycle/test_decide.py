"""The state machine as a pure function, without database, clock or Ray."""

import pytest

from service.lifecycle.actions import (
    CreateAttempt,
    EndAttempt,
    EndRun,
    FinishGeneration,
    FinishStage,
    MarkSubmitted,
    SubmitAttempt,
)
from service.lifecycle.decide import decide
from service.lifecycle.snapshots import NOTHING_OBSERVED, Observed
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
)
from workers.specs.reports import FailureReason


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
    run = make_run(make_attempt(AttemptState.SUBMITTED, submitted_at=NOW))

    assert next_actions(run, Observed(JobStatus.PENDING)) == []
    assert next_actions(run, Observed(JobStatus.RUNNING)) == []


def test_a_result_finishes_the_stage_before_its_ray_job_has_ended() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    assert next_actions(run, Observed(JobStatus.RUNNING, result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


def test_a_result_counts_while_ray_does_not_answer() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTING))

    assert next_actions(run, Observed(JobStatus.UNAVAILABLE, result=RESULT)) == [FinishStage(0, "train", 1, RESULT)]


def test_a_lost_job_ends_its_attempt() -> None:
    [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(JobStatus.UNKNOWN))

    # Ray may only have forgotten the job, whose driver may still be alive.
    expected = EndAttempt(0, "train", 1, FailureReason.JOB_LOST, "Ray no longer knows the job", maybe_alive=True)
    assert action == expected


def test_a_lost_job_starts_a_new_attempt() -> None:
    run = make_run(make_failed(1, FailureReason.JOB_LOST))

    assert next_actions(run) == [CreateAttempt(0, "train", 2)]


def test_a_job_that_ended_without_a_word_is_a_failed_job() -> None:
    for status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SUCCEEDED):
        [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(status, "killed"))
        assert isinstance(action, EndAttempt)
        assert action.reason is FailureReason.JOB_FAILED
        assert action.message == f"the Ray job ended as {status} without a result: killed"
        assert not action.maybe_alive


def test_where_ray_gives_no_account_the_message_ends_without_one() -> None:
    [action] = next_actions(make_run(make_attempt(AttemptState.SUBMITTED)), Observed(JobStatus.FAILED))

    assert action.message == f"the Ray job ended as {JobStatus.FAILED} without a result"


def test_the_stages_own_word_says_why_its_job_ended() -> None:
    run = make_run(make_attempt(AttemptState.SUBMITTED))

    for status in (JobStatus.FAILED, JobStatus.UNKNOWN):
        expected = EndAttempt(0, "train", 1, FailureReason.STAGE_ERROR, "boom")
        assert next_actions(run, Observed(status, failure=FAILURE)) == [expected]


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
        ("Job supervisor actor failed to start within 900.0 seconds.", FailureReason.NO_CAPACITY),
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
