"""The file by which the first worker tells the driver how training ended. It outlives both."""

from workers.specs.base import Frozen

SUMMARY_FILE = "train_summary.json"


class TrainSummary(Frozen):
    """A finished training. Times are Unix seconds."""

    parameters: int
    resumed_from_step: int
    steps: int | None = None
    """Fewer than the recipe's if training ended early. None in summaries of earlier versions: all of them."""
    images_seen: int
    final_loss: float
    validation_top1: float
    work_started_at: float
    work_ended_at: float
