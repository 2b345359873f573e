"""The note beside a training checkpoint, by which is decided which checkpoints stay."""

from pydantic import Field

from workers.specs.base import Frozen

CHECKPOINTS_FOLDER = "checkpoints"
"""A folder in that of a train stage. Ray Train makes a folder in it for each checkpoint; names are in order of time."""
CHECKPOINT_NOTE_FILE = "checkpoint.json"
CHECKPOINT_SCORE = "validation_top1"
"""The metric by which a checkpoint is better than another."""


class CheckpointNote(Frozen):
    """checkpoint.json, beside a checkpoint's state."""

    step: int = Field(ge=0)
    validation_top1: float | None
    """The accuracy that was last measured before the checkpoint; None if it had not been measured."""
