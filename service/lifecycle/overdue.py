"""Decides which attempts to end because they make no progress: never scheduled, or hung. No I/O, no clock."""

from service.config.policies import FaultTolerance
from service.lifecycle.snapshots import AttemptSnapshot, Observed
from service.ray_client.job_status import JobStatus
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName


def overdue(
    stage: StageName, attempt: AttemptSnapshot, observed: Observed, limits: FaultTolerance, now: float
) -> tuple[FailureReason, str] | None:
    """Returns why to end a submitted attempt whose job is alive, with a message for people, or None to let it go on.

    `now` is in Unix seconds.
    """
    submitted_at = attempt.created_at if attempt.submitted_at is None else attempt.submitted_at
    patience = limits.schedule_timeout_seconds
    if observed.job is JobStatus.PENDING:
        if now - submitted_at < patience:
            return None
        return FailureReason.UNSCHEDULABLE, f"its Ray job could not be started within {patience:g} s"
    if not observed.files_seen:
        return None
    progress = observed.progress
    waiting = progress.waiting if progress is not None else None
    if waiting is not None and waiting.exceeds_cluster and now - waiting.since >= patience:
        return FailureReason.UNSCHEDULABLE, f"{waiting.reason}; waited {patience:g} s"
    stall = limits.stall_timeout_seconds.of(stage)
    advanced_at = submitted_at if progress is None or progress.advanced_at is None else progress.advanced_at
    if now - max(submitted_at, advanced_at) < stall:
        return None
    done = f" at {progress.done} of {progress.total} {progress.unit}" if progress is not None else " since it began"
    return FailureReason.HUNG, f"no progress for {stall:g} s{done}"
