"""What a training checkpoint says of itself, for those who decide which ones stay."""

from pydantic import Field

from workers.specs.base import Frozen

CHECKPOINTS_FOLDER = "checkpoints"
"""In a train stage's folder; below it Ray Train makes a folder a checkpoint, whose names are in order of time."""
CHECKPOINT_NOTE_FILE = "checkpoint.json"
CHECKPOINT_SCORE = "validation_top1"
"""The metric by which a checkpoint is better than another."""


class CheckpointNote(Frozen):
    """Beside a checkpoint's state."""

    step: int = Field(ge=0)
    validation_top1: float | None
    """As last measured before the checkpoint; None where it had not been yet."""
