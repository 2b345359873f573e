"""The status of a Ray job, and the failure reason that follows from Ray's message about an ended job."""

from enum import StrEnum

from workers.specs.reports import FailureReason


class JobStatus(StrEnum):
    """The status of a job in Ray's words. The last two are this service's own."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    """Ray has no such job."""
    UNAVAILABLE = "UNAVAILABLE"
    """Ray did not answer, so the status is unknown."""


ENDED_JOBS = frozenset({JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED})


_SUPERVISOR_DIED = "Job supervisor actor died"
"""Ray's message if the process that starts and watches a driver died. What follows it comes from Ray, not from the
driver's log."""


_PREEMPTED = ("node was preempted", "died by preemption", "node preemption", "forcibly preempted")


_NODE_DIED = ("node has died", "node is dead", "node it was running on is dead", "node was terminated")


_OUT_OF_MEMORY = ("running low on memory", "OutOfMemoryError", "out of memory", "OOM")


_NEVER_STARTED = ("Job supervisor actor failed to start within", "Job supervisor actor could not be scheduled")


def reason_of_ended_job(message: str) -> FailureReason:
    """Returns the failure reason of an attempt whose job ended without a result and without a report of the stage.

    The searched phrases are those of `ray/dashboard/modules/job/job_manager.py` and of the GCS in Ray 2.60. A message
    about the driver's exit code ends with lines of the driver's log, which prove nothing and are not searched.
    """
    if message.startswith(_NEVER_STARTED):
        return FailureReason.NO_CAPACITY
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
