"""Decides how long a failed stage waits before its next attempt."""

from collections.abc import Sequence

from service.config.policies import RetrySettings
from workers.specs.reports import FailureReason

FIRST_DELAY_SECONDS = 1.0


LONGEST_DELAY_SECONDS = 60.0


NOT_COUNTED = frozenset(
    {
        FailureReason.PREEMPTED,
        FailureReason.NODE_LOST,
        FailureReason.JOB_LOST,
        FailureReason.NO_CAPACITY,
        FailureReason.PAUSED,
    }
)
"""Failure reasons that are not the stage's fault. They do not count towards max_attempts; some have their own limit."""


def retry_delay_seconds(failures: Sequence[FailureReason], max_attempts: int, settings: RetrySettings) -> float | None:
    """Returns the seconds to wait before a stage's next attempt, or None if it gets no further attempt.

    `failures` holds the failure reasons of the attempts so far, oldest first; it must not be empty. `max_attempts` is
    the service's setting, which the run's `settings` may override.
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
    # The exponent is bounded because a spot cluster may preempt a stage hundreds of times.
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(doublings, 10)))
