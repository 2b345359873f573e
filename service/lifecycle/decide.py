"""The state machine: decides from the recorded state and the observation what to do next. No I/O, no clock."""

from service.config.policies import SCHEDULE_TIMEOUT_SECONDS
from service.lifecycle.actions import (
    Action,
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
from service.lifecycle.overdue import overdue
from service.lifecycle.reported import news_of_devices, news_of_wait
from service.lifecycle.retries import retry_delay_seconds
from service.lifecycle.snapshots import AttemptSnapshot, Observed, RunSnapshot, StageSnapshot
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.ray_client.job_status import ENDED_JOBS, JobStatus, reason_of_ended_job
from workers.specs.reports import FailureReason

STOP_AGAIN_SECONDS = 5.0
"""How long to wait for a job to stop before asking Ray again."""
UNSTOPPABLE_SECONDS = 60.0
"""How long after the first request to wait for a job to stop before ending its attempt anyway. Such a job's node is
gone and Ray has not noticed, so Ray refuses to stop it, or only promises to. The job closer keeps asking."""
SUBMIT_IN_FLIGHT_SECONDS = 30.0
"""How long after an attempt was recorded the submit request of a reconciler that died may still reach Ray."""


def decide(
    run: RunSnapshot,
    observed: Observed,
    now: float,
    max_attempts: int,
    may_start: bool = True,
    schedule_timeout_seconds: float = SCHEDULE_TIMEOUT_SECONDS,
) -> list[Action]:
    """Returns the next actions for an active run; the list is empty if there is nothing to do but wait.

    `observed` belongs to the open attempt of the current stage, if it has one. `now` is in Unix seconds. `may_start`
    says whether the queue lets the run start an attempt. `max_attempts` and `schedule_timeout_seconds` apply to runs
    that set no limit themselves.
    """
    for generation in run.generations:
        if generation.state is not GenerationState.SUCCEEDED and all(
            stage.state is StageState.SUCCEEDED for stage in generation.stages
        ):
            return [FinishGeneration(generation.number)]
    cancelling = run.state is RunState.CANCELLING
    stage = run.current_stage
    refused = next((generation for generation in run.generations if generation.promoted is False), None)
    if refused is not None and run.rules.stops_at_gate and not cancelling:
        reason = f"generation {refused.number} was not promoted: {refused.gate_reason}"
        if stage is None:
            return [EndRun(RunState.GATED, reason=reason)]
        return [EndRun(RunState.GATED, stage.generation, stage.name, reason)]
    if stage is None:
        return [EndRun(RunState.CANCELLED if cancelling else RunState.SUCCEEDED)]
    if stage.open_attempt is not None:
        actions = _follow(run, stage, stage.open_attempt, observed, now, schedule_timeout_seconds)
        actions = actions or news_of_wait(stage, stage.open_attempt, observed, now)
        return [*news_of_devices(stage, stage.open_attempt, observed), *actions]
    if cancelling:
        return [EndRun(RunState.CANCELLED, stage.generation, stage.name)]
    if run.state is RunState.PAUSING:
        return [PauseRun()]
    return _start_or_give_up(run, stage, now, max_attempts, may_start)


def _follow(
    run: RunSnapshot, stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed, now: float, patience: float
) -> list[Action]:
    if observed.result is not None:
        # The stage writes its result last, so its work is done even if its Ray job has not ended yet.
        return [FinishStage(stage.generation, stage.name, attempt.number, observed.result)]
    if observed.job is JobStatus.UNAVAILABLE:
        return []
    if attempt.state is AttemptState.SUBMITTING:
        return _follow_submitting(run, stage, attempt, observed, now)
    if attempt.state is AttemptState.SUBMITTED:
        return _follow_submitted(run, stage, attempt, observed, now, patience)
    return _follow_stopping(stage, attempt, observed, now)


def _follow_submitting(
    run: RunSnapshot, stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed, now: float
) -> list[Action]:
    where = (stage.generation, stage.name, attempt.number)
    if observed.job is not JobStatus.UNKNOWN:
        return [MarkSubmitted(*where)]
    if run.state is RunState.RUNNING:
        return [SubmitAttempt(*where)]
    if now - attempt.created_at < SUBMIT_IN_FLIGHT_SECONDS:
        return []
    if run.state is RunState.PAUSING:
        return [EndAttempt(*where, FailureReason.PAUSED, "paused before it was submitted", maybe_alive=True)]
    return [EndAttempt(*where, FailureReason.CANCELLED, "cancelled", maybe_alive=True)]


def _follow_submitted(
    run: RunSnapshot, stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed, now: float, patience: float
) -> list[Action]:
    where = (stage.generation, stage.name, attempt.number)
    over = observed.job is JobStatus.UNKNOWN or observed.job in ENDED_JOBS
    if run.state is RunState.CANCELLING:
        return [BeginStopping(*where, FailureReason.CANCELLED, "cancelled")]
    if observed.failure is not None:
        action = EndAttempt if over else BeginStopping
        return [action(*where, observed.failure.reason, observed.failure.message)]
    if observed.job is JobStatus.UNKNOWN:
        return [EndAttempt(*where, FailureReason.JOB_LOST, "Ray no longer knows the job", maybe_alive=True)]
    if over:
        message = f"the Ray job ended as {observed.job} without a result: {observed.job_message}".rstrip(": ")
        return [EndAttempt(*where, reason_of_ended_job(observed.job_message), message)]
    late = overdue(stage.name, attempt, observed, run.rules.fault_tolerance, patience, now)
    if late is not None:
        return [BeginStopping(*where, *late)]
    if run.state is RunState.PAUSING:
        return _pause(stage, attempt, observed)
    return []


def _pause(stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed) -> list[Action]:
    where = (stage.generation, stage.name, attempt.number)
    waits = observed.progress is not None and observed.progress.waiting is not None
    if observed.job is JobStatus.PENDING or waits:
        return [BeginStopping(*where, FailureReason.PAUSED, "paused before its work began")]
    return [RequestPause(*where)] if attempt.pause_requested_at is None else []


def _follow_stopping(stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed, now: float) -> list[Action]:
    where = (stage.generation, stage.name, attempt.number)
    reason = attempt.failure_reason or FailureReason.CANCELLED
    forgotten = observed.job is JobStatus.UNKNOWN
    end = EndAttempt(*where, reason, attempt.failure_message or "", maybe_alive=forgotten)
    if forgotten or observed.job in ENDED_JOBS:
        return [end]
    if attempt.stop_requested_at is None or attempt.stop_asked_at is None:
        return [StopJob(*where)]
    if now - attempt.stop_asked_at < STOP_AGAIN_SECONDS:
        return []
    if now - attempt.stop_requested_at >= UNSTOPPABLE_SECONDS:
        # If its driver is still alive somewhere, it finds that its attempt is over and ends without writing anything.
        return [end]
    # Ray cannot stop a job that has not begun. If it ever begins, it finds that its attempt is over and ends.
    return [end] if observed.job is JobStatus.PENDING else [StopJob(*where)]


def _start_or_give_up(
    run: RunSnapshot, stage: StageSnapshot, now: float, max_attempts: int, may_start: bool
) -> list[Action]:
    counted = stage.attempts[stage.attempts_before_retry :]
    failures = [attempt.failure_reason for attempt in counted if attempt.failure_reason is not None]
    if failures:
        last = counted[-1]
        delay = retry_delay_seconds(failures, max_attempts, run.rules.fault_tolerance.retry)
        if delay is None:
            reason = f"generation {stage.generation}, {stage.name}: {last.failure_reason}: {last.failure_message}"
            return [EndRun(RunState.FAILED, stage.generation, stage.name, reason)]
        if last.finished_at is not None and now < last.finished_at + delay:
            return []
    return [CreateAttempt(stage.generation, stage.name, len(stage.attempts) + 1)] if may_start else []
