"""Where a training process stands among the others, and where its checkpoints go."""

from typing import Any, Protocol

import torch

from workers.models.device import allotted_device


class TrainSession(Protocol):
    """Rank, device and checkpoints of one worker. `report_checkpoint` is called by every worker at the same step."""

    rank: int
    world_size: int
    device: torch.device

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The state of the last checkpoint, on the CPU; None at the first start."""
        ...

    def report_checkpoint(self, state: dict[str, Any] | None, metrics: dict[str, float]) -> None:
        """Stores the state of the one worker that passes one."""
        ...

    def agreed(self, wish: bool) -> bool:
        """What the first worker wishes. Every worker calls it at the same step."""
        ...


class WorkerSession:
    """A worker of a Ray Train group."""

    def __init__(self) -> None:
        import ray.train
        import ray.train.torch

        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()

    def load_checkpoint(self) -> dict[str, Any] | None:
        from workers.training.group.checkpoint import load_checkpoint

        return load_checkpoint()

    def report_checkpoint(self, state: dict[str, Any] | None, metrics: dict[str, float]) -> None:
        from workers.training.group.checkpoint import report_checkpoint

        report_checkpoint(state, metrics)

    def agreed(self, wish: bool) -> bool:
        if self.world_size == 1:
            return wish
        flag = torch.tensor([wish], dtype=torch.uint8, device=self.device)
        torch.distributed.broadcast(flag, src=0)
        return bool(flag.item())


class LoneSession:
    """A process by itself, as a search's trial of one worker: without a group, and without checkpoints.

    `gpus` is what it asked Ray for.
    """

    rank = 0
    world_size = 1

    def __init__(self, gpus: float) -> None:
        self.device = allotted_device(gpus)

    def load_checkpoint(self) -> dict[str, Any] | None:
        return None

    def report_checkpoint(self, state: dict[str, Any] | None, metrics: dict[str, float]) -> None:
        """Nothing: a trial that is interrupted begins again."""

    def agreed(self, wish: bool) -> bool:
        return wish
