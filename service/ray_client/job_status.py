"""What Ray says of a job: its status, and whether an error means that it knows the job."""

from enum import StrEnum


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
