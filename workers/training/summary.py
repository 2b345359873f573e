"""What the first worker tells the driver when training has ended: a file, so that it outlives both."""

from workers.specs.base import Frozen

SUMMARY_FILE = "train_summary.json"


class TrainSummary(Frozen):
    parameters: int
    resumed_from_step: int
    images_seen: int
    final_loss: float
    validation_top1: float
    work_started_at: float
    work_ended_at: float
