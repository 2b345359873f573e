"""What a running stage reports, and what it is told: progress, waits, failures, and commands to pause or stop."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.devices import Devices


class FailureReason(StrEnum):
    """Why an attempt ended without a result, according to the stage or the reconciler."""

    BAD_DATA = "bad_data"
    """A shard is missing or damaged, more images are broken than max_bad_fraction allows, or nothing is selected."""
    OUT_OF_MEMORY = "out_of_memory"
    USER_ERROR = "user_error"
    """The spec asks for something impossible, for example an image size that the model does not accept."""
    STAGE_ERROR = "stage_error"
    """Any other exception in the stage."""
    ARTIFACT_STORE = "artifact_store"
    """A file could not be written or read: a full disk, a read-only file system."""
    JOB_FAILED = "job_failed"
    """The Ray job ended and left neither a result nor a failure."""
    JOB_LOST = "job_lost"
    """Ray no longer knows the job, because its head died."""
    SUBMIT_FAILED = "submit_failed"
    PREEMPTED = "preempted"
    """Ray reports that the provider reclaimed the node, as it may a spot node."""
    NODE_LOST = "node_lost"
    """The node died, and Ray reports no reason."""
    UNSCHEDULABLE = "unschedulable"
    """The stage needs resources that no group of nodes could ever have, or, if no groups are known, that the cluster
    did not have within schedule_timeout_seconds."""
    NO_CAPACITY = "no_capacity"
    """The nodes that the stage waited for could come, but did not within schedule_timeout_seconds."""
    HUNG = "hung"
    """The work did not advance for stall_timeout_seconds."""
    PAUSED = "paused"
    """The attempt stopped at the end of a unit because someone paused its run. This is not a failure."""
    CANCELLED = "cancelled"


class StageFailure(Frozen):
    """failure.json, which a stage writes when it fails."""

    attempt: int
    reason: FailureReason
    message: str
    devices: Devices | None = None
    """What the attempt is charged for, as its driver decided; None if it failed before."""


class StageControl(Frozen):
    """What the service asks of a running attempt. It travels as a file, because stages never call the API."""

    command: Literal["pause", "stop"]
    """`pause`: end after the current unit and keep what is done. `stop`: the service counts the attempt as over."""


class WaitKind(StrEnum):
    """What a stage waits for before it begins its work."""

    DRIVER_PENDING = "driver_pending"
    """Ray has not started the stage's driver. Only the service can see that; no stage reports it."""

    NODE_COMING = "node_coming"
    """A group of nodes can grow to what the stage needs."""
    CLUSTER_FULL = "cluster_full"
    """Others use the cluster, and no group of nodes can grow."""
    CLUSTER_TOO_SMALL = "cluster_too_small"
    """Even the idle cluster is too small, and it is unknown which nodes could come."""
    BEYOND_GROUPS = "beyond_groups"
    """No group of nodes could ever have what the stage needs: its nodes are too small, or it may have too few."""


class Waiting(Frozen):
    """Why a stage has not begun its work."""

    since: float
    """Unix seconds."""
    reason: str
    exceeds_cluster: bool
    """Whether even the idle cluster is too small: more nodes may help, but the end of other jobs does not."""
    kind: WaitKind | None = None
    """None in files from stages of earlier releases."""


ProgressUnit = Literal["steps", "shards", "images", "rows", "trials", "samples"]


class MetricRow(Frozen):
    """A line of metrics-aN.jsonl: the figures of a training after so many steps."""

    attempt: int
    step: int
    at: float
    """Unix seconds."""
    values: dict[str, float]


class Progress(Frozen):
    """progress.json, which a stage rewrites every few seconds beside its result. Times are Unix seconds."""

    attempt: int
    done: int
    total: int
    unit: ProgressUnit
    entered_at: float
    work_started_at: float | None
    updated_at: float
    """When this file was written. It shows that the stage is alive."""
    advanced_at: float | None = None
    """When the work last advanced, or the stage last reported a wait. It shows whether the stage hangs."""
    values: dict[str, float] = Field(default_factory=dict)
    """The latest metric values, for example loss and images_per_second."""
    waiting: Waiting | None = None
    """Why the work has not begun; None unless it waits for resources."""
    workers: int | None = None
    """How many workers train at present; None for other stages, and before."""
    gpus_each: float | None = None
    """GPUs of each actor or worker, as the driver decided for this attempt; None before, and for stages without."""
    devices: Devices | None = None
    """What the attempt is charged for, as its driver decided; None before, and in files of earlier releases."""
