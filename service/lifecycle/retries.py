"""Decides how long a failed stage waits before its next attempt."""

from collections.abc import Sequence

from service.config.policies import RetrySettings
from workers.specs.reports import FailureReason

FIRST_DELAY_SECONDS = 1.0


LONGEST_DELAY_SECONDS = 60.0


NOT_COUNTED = frozenset(
    {FailureReason.PREEMPTED, FailureReason.NODE_LOST, FailureReason.JOB_LOST, FailureReason.PAUSED}
)
"""They say nothing of the stage: they use up none of max_attempts, only a limit of their own."""


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
