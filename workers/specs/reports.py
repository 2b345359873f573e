"""What a running stage reports and is told: progress, waits, failures, and the command to pause or stop."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen


class FailureReason(StrEnum):
    """Why an attempt ended without a result, as the stage or the reconciler says."""

    BAD_DATA = "bad_data"
    """A shard is missing or damaged, more images are broken than max_bad_fraction allows, or nothing is selected."""
    OUT_OF_MEMORY = "out_of_memory"
    USER_ERROR = "user_error"
    """The spec asks for something impossible, for example an image size that the model refuses."""
    STAGE_ERROR = "stage_error"
    """Any other exception in the stage."""
    ARTIFACT_STORE = "artifact_store"
    """A file could not be written or read: a full disk, a read-only file system."""
    JOB_FAILED = "job_failed"
    """The Ray job ended without a result and without a failure."""
    JOB_LOST = "job_lost"
    """Ray no longer knows the job: its head died."""
    SUBMIT_FAILED = "submit_failed"
    PREEMPTED = "preempted"
    """Ray says that the owner took the node back, as happens to spot nodes."""
    NODE_LOST = "node_lost"
    """The node died, and Ray does not say why."""
    UNSCHEDULABLE = "unschedulable"
    """It asks for resources that the cluster did not have within schedule_timeout_seconds."""
    HUNG = "hung"
    """Its work did not advance for stall_timeout_seconds."""
    PAUSED = "paused"
    """It stopped at the end of a unit because its run is to pause: no failure."""
    CANCELLED = "cancelled"


class StageFailure(Frozen):
    """Written as failure.json when a stage fails."""

    attempt: int
    reason: FailureReason
    message: str


class StageControl(Frozen):
    """What the service asks of a running attempt. It is a file, because stages never call the API."""

    command: Literal["pause", "stop"]
    """pause: end after the current unit, and keep what is done. stop: the attempt is over, whatever its job does."""


class Waiting(Frozen):
    """Why a stage has not begun its work."""

    since: float
    """Unix seconds."""
    reason: str
    exceeds_cluster: bool
    """Whether even the idle cluster has too little: more nodes may help, the end of other jobs does not."""


ProgressUnit = Literal["steps", "shards", "images", "rows", "trials", "samples"]


class Progress(Frozen):
    """progress.json, which is rewritten every few seconds beside the result."""

    attempt: int
    done: int
    total: int
    unit: ProgressUnit
    entered_at: float
    work_started_at: float | None
    updated_at: float
    """When this was written. It shows that the stage is alive."""
    advanced_at: float | None = None
    """When the work last advanced, or the stage last reported that it waits. It shows whether the stage hangs."""
    values: dict[str, float] = Field(default_factory=dict)
    """The latest metric values, for example loss and images_per_second."""
    waiting: Waiting | None = None
    """Why the work has not begun, if it waits for resources."""
