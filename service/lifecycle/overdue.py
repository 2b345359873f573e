"""Decides which attempts to end because they make no progress: never scheduled, or hung. No I/O, no clock."""

from service.config.policies import FaultTolerance
from service.lifecycle.snapshots import AttemptSnapshot, Observed
from service.ray_client.job_status import JobStatus
from workers.specs.reports import FailureReason, Waiting, WaitKind
from workers.specs.stages import StageName


def overdue(
    stage: StageName,
    attempt: AttemptSnapshot,
    observed: Observed,
    limits: FaultTolerance,
    default_patience: float,
    now: float,
) -> tuple[FailureReason, str] | None:
    """Returns why to end a submitted attempt whose job is alive, with a message for people, or None to let it go on.

    `now` is in Unix seconds. `default_patience` is the service's schedule_timeout_seconds, for runs that set none.
    """
    submitted_at = attempt.created_at if attempt.submitted_at is None else attempt.submitted_at
    patience = limits.schedule_timeout_seconds or default_patience
    if observed.job is JobStatus.PENDING:
        if now - submitted_at < patience:
            return None
        # Where drivers run and how large they are is the service's affair: it is no fault of the run's.
        return FailureReason.NO_CAPACITY, f"its Ray job could not be started within {patience:g} s"
    if not observed.files_seen:
        return None
    progress = observed.progress
    waiting = progress.waiting if progress is not None else None
    if waiting is not None and (reason := _end_of_wait(waiting, patience, now)) is not None:
        return reason
    stall = limits.stall_timeout_seconds.of(stage)
    advanced_at = submitted_at if progress is None or progress.advanced_at is None else progress.advanced_at
    if now - max(submitted_at, advanced_at) < stall:
        return None
    done = f" at {progress.done} of {progress.total} {progress.unit}" if progress is not None else " since it began"
    return FailureReason.HUNG, f"no progress for {stall:g} s{done}"


def _end_of_wait(waiting: Waiting, patience: float, now: float) -> tuple[FailureReason, str] | None:
    if waiting.kind is WaitKind.BEYOND_GROUPS:
        return FailureReason.UNSCHEDULABLE, waiting.reason
    if now - waiting.since < patience:
        return None
    told = f"{waiting.reason}; waited {patience:g} s"
    if waiting.kind is WaitKind.NODE_COMING:
        return FailureReason.NO_CAPACITY, told
    return (FailureReason.UNSCHEDULABLE, told) if waiting.exceeds_cluster else None
