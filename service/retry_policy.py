"""Which failures are worth another attempt, how many, and how long to wait before it."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from workers.specs.frozen import Frozen
from workers.specs.reports import FailureReason

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
NOT_COUNTED = frozenset(
    {FailureReason.PREEMPTED, FailureReason.NODE_LOST, FailureReason.JOB_LOST, FailureReason.PAUSED}
)
"""They say nothing of the stage: they use up none of max_attempts, only a limit of their own."""


class RetrySettings(Frozen):
    """How often a stage is tried again, by the reason of its failure; null: until max_attempts are used up."""

    max_attempts: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Attempts of one stage, those lost to preemption or a dead node or head not counted. "
        "Default: the service's setting.",
    )
    bad_data: int | None = Field(default=0, ge=0, le=1_000_000, description="The same input gives the same failure.")
    user_error: int | None = Field(default=0, ge=0, le=1_000_000, description="So does the same spec.")
    unschedulable: int | None = Field(default=0, ge=0, le=1_000_000, description="It has been waited for long enough.")
    out_of_memory: int | None = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Another job may have taken the memory; a second time it is the stage's own size.",
    )
    stage_error: int | None = Field(default=2, ge=0, le=1_000_000, description="Any other exception in the stage.")
    hung: int | None = Field(default=2, ge=0, le=1_000_000, description="No progress for stall_timeout_seconds.")
    artifact_store: int | None = Field(
        default=None, ge=0, le=1_000_000, description="A full disk, a read-only file system."
    )
    job_failed: int | None = Field(default=None, ge=0, le=1_000_000, description="The Ray job ended without a word.")
    job_lost: int | None = Field(
        default=20, ge=0, le=1_000_000, description="Ray no longer knows the job: its head died. Not counted either."
    )
    submit_failed: int | None = Field(default=None, ge=0, le=1_000_000, description="Ray refused the job.")
    node_lost: int | None = Field(
        default=20, ge=0, le=1_000_000, description="The node died. Not counted in max_attempts."
    )
    preempted: int | None = Field(default=1000, ge=0, le=1_000_000, description="The node was taken back. Nor is this.")

    def retries(self, reason: FailureReason) -> int | None:
        """How many attempts may fail for this reason and be followed by another; None: max_attempts says."""
        limits: Mapping[str, int | None] = {**self.model_dump(), "cancelled": 0, "paused": None}
        return limits[reason]


def retry_delay_seconds(failures: Sequence[FailureReason], max_attempts: int, settings: RetrySettings) -> float | None:
    """Seconds to wait before the next attempt, or None where there is to be none.

    `failures` are the reasons of the attempts so far, oldest first, and not empty. `max_attempts` is the service's
    setting, which `settings` may replace.
    """
    last = failures[-1]
    if last is FailureReason.PAUSED:
        return 0.0
    counted = [reason for reason in failures if reason not in NOT_COUNTED]
    if last not in NOT_COUNTED and len(counted) >= (settings.max_attempts or max_attempts):
        return None
    limit = settings.retries(last)
    if limit is not None and failures.count(last) > limit:
        return None
    doublings = sum(reason is not FailureReason.PAUSED for reason in failures) - 1
    # The exponent is bounded: a spot cluster may preempt hundreds of times.
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(doublings, 10)))
