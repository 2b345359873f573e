"""When a delivery that failed is tried again, and when it is given up. Pure."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 3600.0


def next_attempt_at(attempts: int, now: float, max_attempts: int) -> float | None:
    """Unix seconds of the next attempt after `attempts` that failed; None where it is given up."""
    if attempts >= max_attempts:
        return None
    doubled: float = FIRST_DELAY_SECONDS * 2 ** min(attempts - 1, 30)
    return now + min(LONGEST_DELAY_SECONDS, doubled)
