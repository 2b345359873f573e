"""What Ray says of a job: its status, and whether an error means that it knows the job."""

from enum import StrEnum

from workers.specs.reports import FailureReason


class JobStatus(StrEnum):
    """What Ray says of a job; the two last are ours."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    """Ray has no such job."""
    UNAVAILABLE = "UNAVAILABLE"
    """Ray did not answer: nothing is known."""


ENDED_JOBS = frozenset({JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED})


_SUPERVISOR_DIED = "Job supervisor actor died"
"""The process that starts a driver and watches it. What follows is Ray's word, not a line of the driver's log."""


_PREEMPTED = ("node was preempted", "died by preemption", "node preemption", "forcibly preempted")


_NODE_DIED = ("node has died", "node is dead", "node it was running on is dead", "node was terminated")


_OUT_OF_MEMORY = ("running low on memory", "OutOfMemoryError", "out of memory", "OOM")


_NEVER_STARTED = ("Job supervisor actor failed to start within", "Job supervisor actor could not be scheduled")


def reason_of_ended_job(message: str) -> FailureReason:
    """The reason of an attempt whose job ended without a result and without the stage's own word.

    Ray's words are those of `ray/dashboard/modules/job/job_manager.py` and of its GCS, as of 2.60. A message about the
    driver's exit code ends with lines of its log, which prove nothing: those are not searched.
    """
    if message.startswith(_NEVER_STARTED):
        return FailureReason.UNSCHEDULABLE
    if not message.startswith(_SUPERVISOR_DIED):
        return FailureReason.JOB_FAILED
    for reason, signs in (
        (FailureReason.PREEMPTED, _PREEMPTED),
        (FailureReason.OUT_OF_MEMORY, _OUT_OF_MEMORY),
        (FailureReason.NODE_LOST, _NODE_DIED),
    ):
        if any(sign in message for sign in signs):
            return reason
    return FailureReason.JOB_FAILED
