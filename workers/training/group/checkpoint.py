"""Training checkpoints through Ray Train: what a worker needs to go on where it stopped."""

import tempfile
from pathlib import Path
from typing import Any

import ray.train
import torch

from workers.specs.checkpoint import CHECKPOINT_NOTE_FILE, CHECKPOINT_SCORE, CheckpointNote

_STATE_FILE = "training_state.pt"


def load_checkpoint() -> dict[str, Any] | None:
    """The state of the last checkpoint of this run, on the CPU; None at the first start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        state: dict[str, Any] = torch.load(Path(folder) / _STATE_FILE, map_location="cpu", weights_only=True)
        return state


def report_checkpoint(state: dict[str, Any] | None, metrics: dict[str, float]) -> None:
    """Every worker calls this at the same step; the one that passes a state stores it."""
    if state is None:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / _STATE_FILE)
        note = CheckpointNote(step=int(metrics["step"]), validation_top1=metrics.get(CHECKPOINT_SCORE))
        (Path(folder) / CHECKPOINT_NOTE_FILE).write_text(note.model_dump_json())
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
