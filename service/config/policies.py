"""The policies of a run: retries after failures, timeouts of stages, retention of artifacts, and a project's quota."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName


class RetrySettings(Frozen):
    """Retries of a stage by failure reason. Null: until max_attempts is used up."""

    max_attempts: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Attempts of one stage, not counting those lost to preemption or a dead node or head. "
        "Default: the service's setting.",
    )
    bad_data: int | None = Field(default=0, ge=0, le=1_000_000, description="The same input fails in the same way.")
    user_error: int | None = Field(default=0, ge=0, le=1_000_000, description="The same spec fails in the same way.")
    unschedulable: int | None = Field(
        default=0, ge=0, le=1_000_000, description="The cluster cannot have what the stage asks for."
    )
    no_capacity: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Nodes that can come did not by schedule_timeout_seconds. Not counted in max_attempts; null: "
        "without a limit.",
    )
    out_of_memory: int | None = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Another job may have used the memory; the second time, the stage itself is too large.",
    )
    stage_error: int | None = Field(default=2, ge=0, le=1_000_000, description="Any other exception in the stage.")
    hung: int | None = Field(default=2, ge=0, le=1_000_000, description="No progress for stall_timeout_seconds.")
    artifact_store: int | None = Field(
        default=None, ge=0, le=1_000_000, description="A full disk, a read-only file system."
    )
    job_failed: int | None = Field(
        default=None, ge=0, le=1_000_000, description="The Ray job ended without an error message."
    )
    job_lost: int | None = Field(
        default=20,
        ge=0,
        le=1_000_000,
        description="Ray no longer knows the job because its head died. Not counted in max_attempts.",
    )
    submit_failed: int | None = Field(default=None, ge=0, le=1_000_000, description="Ray rejected the job.")
    node_lost: int | None = Field(
        default=20, ge=0, le=1_000_000, description="The node died. Not counted in max_attempts."
    )
    preempted: int | None = Field(
        default=1000, ge=0, le=1_000_000, description="The node was preempted. Not counted in max_attempts."
    )

    def retries(self, reason: FailureReason) -> int | None:
        """Returns how many retries follow failures for this reason, or None if only max_attempts limits them."""
        limits: Mapping[str, int | None] = {**self.model_dump(), "cancelled": 0, "paused": None}
        return limits[reason]


SCHEDULE_TIMEOUT_SECONDS = 3600.0
"""Clouds may take over a quarter of an hour to start a GPU node, and an autoscaler tries one group after the other."""


_HALF_AN_HOUR = 1800.0


class StallTimeouts(Frozen):
    """Seconds without progress after which a stage counts as hung, including start-up and loading the model."""

    train: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a step.")
    label: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a shard.")
    select: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a share of the shards.")
    search: float = Field(
        default=4 * _HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a look at the validation set."
    )
    evaluate: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a piece of the work.")
    ablate: float = Field(default=12 * _HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a whole training.")
    measure: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a part of the sample.")
    predict: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a shard.")
    verify: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a sign of life.")

    def of(self, stage: StageName) -> float:
        """Returns the timeout of the stage, in seconds."""
        seconds: float = getattr(self, stage)
        return seconds


class FaultTolerance(Frozen):
    """The failures that a run tolerates before one of its stages fails."""

    retry: RetrySettings = RetrySettings()
    schedule_timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="How long an attempt may wait for nodes that the cluster does not have. "
        "Default: the service's setting.",
    )
    stall_timeout_seconds: StallTimeouts = StallTimeouts()
    max_bad_fraction: float = Field(
        default=0.05, ge=0, le=1, description="Share of unreadable images that a stage tolerates."
    )


class Artifact(StrEnum):
    """Kinds of files that a stage leaves behind and that are not needed forever."""

    CHECKPOINTS = "checkpoints"
    """Checkpoints of a training other than the best and the newest ones."""
    LABELS = "labels"
    """Label files."""
    SELECTION = "selection"
    """The selected rows of the label files, and the training shards made of them."""
    SCRATCH = "scratch"
    """Unfinished files of processes that died, files of Ray Tune, and checkpoints and selections of single trials."""


class RetentionPolicy(Frozen):
    """Retention never deletes models, results, metrics, logs and specs, whatever the policy says."""

    keep_last_checkpoints: int = Field(ge=0)
    """Last checkpoints kept of a finished train stage, besides the best."""
    keep_label_generations: int = Field(ge=0)
    """How many of the last generations keep label files and selections."""
    min_age_seconds: float = Field(ge=0)
    """Retention deletes nothing of a generation until it has been over for this long."""


class RetentionOverrides(Frozen):
    """A run's own retention policy. Null stands for the service's setting."""

    keep_last_checkpoints: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Last checkpoints kept, besides the best."
    )
    keep_label_generations: int | None = Field(
        default=None, ge=0, le=1_000_000, description="How many of the last generations keep their labels."
    )
    min_age_seconds: float | None = Field(
        default=None, ge=0, le=1e9, description="Minimum time since the end of the generation."
    )

    def over(self, policy: RetentionPolicy) -> RetentionPolicy:
        """Returns `policy` with these overrides applied."""
        return policy.model_copy(update=self.model_dump(exclude_none=True))


class Quota(Frozen):
    """The body of PUT /projects/{name}/quota."""

    device_hours: float | None = Field(
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="Hours times GPUs, or CPUs if an attempt has no GPU; null: no limit.",
    )
