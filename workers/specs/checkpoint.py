"""The note beside a training checkpoint. Retention reads it to decide which checkpoints stay."""

from pydantic import Field

from workers.specs.base import Frozen

CHECKPOINTS_FOLDER = "checkpoints"
"""Within the folder of a train stage. Ray Train makes one subfolder per checkpoint; their names sort by time."""
CHECKPOINT_NOTE_FILE = "checkpoint.json"
CHECKPOINT_SCORE = "validation_top1"
"""The metric that ranks checkpoints: higher is better."""


class CheckpointNote(Frozen):
    """checkpoint.json, which lies beside a checkpoint's state."""

    step: int = Field(ge=0)
    validation_top1: float | None
    """The last accuracy measured before the checkpoint, in 0..1; None if none was measured."""
