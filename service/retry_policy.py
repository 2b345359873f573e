"""Which failures are worth another attempt, how many, and how long to wait before it."""

from collections.abc import Mapping, Sequence

from workers.specs.stages import FailureReason

NEVER = 0
UNTIL_MAX_ATTEMPTS = 1_000_000
RETRIES: Mapping[FailureReason, int] = {
    # The same input gives the same failure.
    FailureReason.BAD_DATA: NEVER,
    FailureReason.USER_ERROR: NEVER,
    FailureReason.CANCELLED: NEVER,
    # Another job may have taken the memory; a second time it is the stage's own size.
    FailureReason.OUT_OF_MEMORY: 1,
    FailureReason.STAGE_ERROR: 2,
    # The cluster's doing, not the stage's.
    FailureReason.ARTIFACT_STORE: UNTIL_MAX_ATTEMPTS,
    FailureReason.JOB_FAILED: UNTIL_MAX_ATTEMPTS,
    FailureReason.JOB_LOST: UNTIL_MAX_ATTEMPTS,
    FailureReason.SUBMIT_FAILED: UNTIL_MAX_ATTEMPTS,
}
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


def retry_delay_seconds(failures: Sequence[FailureReason], max_attempts: int) -> float | None:
    """Seconds to wait before the next attempt, or None where there is to be none.

    `failures` are the reasons of the attempts so far, oldest first, and not empty.
    """
    if len(failures) >= max_attempts or failures.count(failures[-1]) > RETRIES[failures[-1]]:
        return None
    doubled: float = FIRST_DELAY_SECONDS * 2 ** (len(failures) - 1)
    return min(LONGEST_DELAY_SECONDS, doubled)
