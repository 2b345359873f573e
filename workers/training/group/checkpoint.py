"""Saves and loads training checkpoints through Ray Train (docs.ray.io, "Saving and Loading Checkpoints")."""

import tempfile
from pathlib import Path

import ray.train
import torch

from workers.specs.checkpoint import CHECKPOINT_NOTE_FILE, CHECKPOINT_SCORE, CheckpointNote
from workers.training.group.session import TrainingState

_STATE_FILE = "training_state.pt"


def load_checkpoint() -> TrainingState | None:
    """The state of the training's last checkpoint, on the CPU; None at the first start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        state: TrainingState = torch.load(Path(folder) / _STATE_FILE, map_location="cpu", weights_only=True)
        return state


def report_checkpoint(state: TrainingState | None, metrics: dict[str, float]) -> None:
    """Reports metrics, and stores the state of the one worker that passes one. All workers call it at the same step."""
    if state is None:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / _STATE_FILE)
        note = CheckpointNote(step=int(metrics["step"]), validation_top1=metrics.get(CHECKPOINT_SCORE))
        (Path(folder) / CHECKPOINT_NOTE_FILE).write_text(note.model_dump_json())
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
