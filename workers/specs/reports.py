"""What a running stage says, and is told: progress, why it waits, failure, and the word to pause or stop."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen


class FailureReason(StrEnum):
    """Why an attempt ended without a result: a stage's own word, or the reconciler's."""

    BAD_DATA = "bad_data"
    """A shard that is gone or damaged, more unreadable images than max_bad_fraction, or nothing left to train on."""
    OUT_OF_MEMORY = "out_of_memory"
    USER_ERROR = "user_error"
    """The spec asks for what cannot work, for example an image size the model refuses."""
    STAGE_ERROR = "stage_error"
    """Any other exception in the stage."""
    ARTIFACT_STORE = "artifact_store"
    """A file could not be written or read: a full disk, a read-only file system."""
    JOB_FAILED = "job_failed"
    """The Ray job ended without a result and without a word."""
    JOB_LOST = "job_lost"
    """Ray no longer knows the job: its head died."""
    SUBMIT_FAILED = "submit_failed"
    PREEMPTED = "preempted"
    """Ray says that the node was taken back by its owner, as spot nodes are."""
    NODE_LOST = "node_lost"
    """The node died, and Ray does not say why."""
    UNSCHEDULABLE = "unschedulable"
    """It asks for what the cluster did not have by schedule_timeout_seconds."""
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
    """What the service asks of a running attempt, in a file of its own: a stage never calls the API."""

    command: Literal["pause", "stop"]
    """pause: keep what is done and end at the next unit. stop: the attempt is over, whatever its job still does."""


class Waiting(Frozen):
    """Why a stage has not begun its work."""

    since: float
    """Unix seconds."""
    reason: str
    exceeds_cluster: bool
    """Whether even the idle cluster has too little. More nodes may come; for other jobs to end does not help."""


ProgressUnit = Literal["steps", "shards", "images", "rows", "trials", "samples"]


class Progress(Frozen):
    """Rewritten every few seconds beside the result."""

    attempt: int
    done: int
    total: int
    unit: ProgressUnit
    entered_at: float
    work_started_at: float | None
    updated_at: float
    """When this was written: the stage is alive."""
    advanced_at: float | None = None
    """When the work last advanced, or while the stage waited for resources: what a hung stage is told by."""
    values: dict[str, float] = Field(default_factory=dict)
    """The latest metric values, for example loss and images_per_second."""
    waiting: Waiting | None = None
    """Why the work has not begun, where it is resources that it waits for."""
