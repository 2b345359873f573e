"""How long a stage may stand still before its attempt is ended."""

from pydantic import Field

from workers.specs.frozen import Frozen
from workers.specs.stages import StageName

SCHEDULE_TIMEOUT_SECONDS = 900.0
"""Clouds take minutes to start a GPU node."""
_HALF_AN_HOUR = 1800.0


class StallTimeouts(Frozen):
    """Seconds without progress after which a stage counts as hung. It includes starting up and loading the model."""

    train: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a step.")
    label: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a shard.")
    select: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a share of the shards.")
    search: float = Field(
        default=4 * _HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a look at the validation set."
    )
    evaluate: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a piece of the work.")
    ablate: float = Field(default=12 * _HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a whole training.")
    measure: float = Field(default=_HALF_AN_HOUR, gt=0, le=1e9, description="Progress is a part of the sample.")

    def of(self, stage: StageName) -> float:
        """The stage's own."""
        seconds: float = getattr(self, stage)
        return seconds


class StageTimeouts(Frozen):
    """The deadlines of a run's stages."""

    schedule_timeout_seconds: float = SCHEDULE_TIMEOUT_SECONDS
    stall_timeout_seconds: StallTimeouts = StallTimeouts()
