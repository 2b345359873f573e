"""A training process's place among the workers, its device, and its checkpoints."""

from collections.abc import Sequence
from typing import NotRequired, Protocol, TypedDict

import torch
from torch.optim.optimizer import StateDict

from workers.models.device import allotted_device
from workers.training.best_weights import ProgressState
from workers.training.group.checkpoint_wish import take_wish
from workers.training.group.drain_notice import watch_this_node


class LearnerState(TypedDict):
    """A model in training after `step` steps: its weights, their moving average and its optimiser.

    What is not required is missing in checkpoints of earlier versions.
    """

    step: int
    model: dict[str, torch.Tensor]
    ema: dict[str, torch.Tensor]
    optimizer: StateDict
    scaler: NotRequired[dict[str, float]]
    """The scale of the loss; empty without fp16."""


class TrainingState(LearnerState):
    """What a checkpoint holds. `layout` is (workers, loader processes) of the start, which orders the samples."""

    layout: list[int]
    progress: NotRequired[ProgressState]


class TrainSession(Protocol):
    """The rank, device and checkpoints of one worker."""

    rank: int
    world_size: int
    device: torch.device

    def load_checkpoint(self) -> TrainingState | None:
        """The state of the last checkpoint, on the CPU; None at the first start."""
        ...

    def report_checkpoint(self, state: TrainingState | None, metrics: dict[str, float]) -> None:
        """Stores `state`, which one worker passes. Every worker calls this at the same step."""
        ...

    def checkpoint_wished(self) -> bool:
        """Whether this worker has learned since the last call that a checkpoint would be good soon."""
        ...

    def highest(self, values: Sequence[int]) -> list[int]:
        """The highest of each value over all workers. Every worker calls this at the same step."""
        ...


class WorkerSession:
    """A worker of a Ray Train worker group."""

    def __init__(self) -> None:
        import ray.train
        import ray.train.torch

        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()
        if context.get_local_rank() == 0:
            watch_this_node()

    def load_checkpoint(self) -> TrainingState | None:
        from workers.training.group.checkpoint import load_checkpoint

        return load_checkpoint()

    def report_checkpoint(self, state: TrainingState | None, metrics: dict[str, float]) -> None:
        from workers.training.group.checkpoint import report_checkpoint

        report_checkpoint(state, metrics)

    def checkpoint_wished(self) -> bool:
        return take_wish()

    def highest(self, values: Sequence[int]) -> list[int]:
        return list(values) if self.world_size == 1 else highest_of_all(values, self.device)


def highest_of_all(values: Sequence[int], device: torch.device) -> list[int]:
    """The highest of each value over all members of the process group."""
    highest = torch.tensor(values, dtype=torch.int64, device=device)
    torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
    return [int(value) for value in highest.tolist()]


class LoneSession:
    """A process by itself, such as a search's trial with one worker: without a group and without checkpoints.

    `gpus` is what it asked Ray for.
    """

    rank = 0
    world_size = 1

    def __init__(self, gpus: float) -> None:
        self.device = allotted_device(gpus)

    def load_checkpoint(self) -> TrainingState | None:
        return None

    def report_checkpoint(self, state: TrainingState | None, metrics: dict[str, float]) -> None:
        """Does nothing: a trial that is interrupted begins again."""

    def checkpoint_wished(self) -> bool:
        return False

    def highest(self, values: Sequence[int]) -> list[int]:
        return list(values)
