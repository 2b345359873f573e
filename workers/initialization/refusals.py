"""How initial weights are refused: as the user's mistake, in words that name them."""

from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason

_LONGEST = 300


def refusal(why: str) -> StageError:
    """The error of a stage whose initial weights cannot be taken, which no further attempt would change."""
    return StageError(FailureReason.USER_ERROR, why)


def first_line(error: Exception) -> str:
    """What a library says of foreign weights, without its further lines."""
    return (str(error).strip().splitlines() or [""])[0][:_LONGEST]
