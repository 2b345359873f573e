"""Trains a spec in processes of a gloo group, or in one process, without Ray, and tells what each step came to."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from workers.data.order.lanes import Layout
from workers.specs.stages import STAGE_SPEC, TrainSpec
from workers.training.best_weights import BestWeights
from workers.training.group.session import TrainingState, highest_of_all
from workers.training.phases import phases_of
from workers.training.sharding import gathered
from workers.training.steps import PhaseSteps, place_of, whole_state

_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Trajectory:
    """The losses of the steps of a training's first phase, and what its last step left. All tensors are whole."""

    losses: list[float]
    gradients: dict[str, torch.Tensor]
    """Those of the last step."""
    state: TrainingState


class GlooSession:
    """The session of a worker on a CPU. Its group, if it has one, has been made."""

    device = torch.device("cpu")

    def __init__(self, rank: int, world_size: int, state: TrainingState | None = None) -> None:
        self.rank = rank
        self.world_size = world_size
        self.states: list[TrainingState] = []
        self._state = state

    def load_checkpoint(self) -> TrainingState | None:
        return self._state

    def report_checkpoint(self, state: TrainingState | None, metrics: dict[str, float]) -> None:
        if state is not None:
            self.states.append(deepcopy(state))  # training goes on and changes the tensors

    def checkpoint_wished(self) -> bool:
        return False

    def highest(self, values: Sequence[int]) -> list[int]:
        return list(values) if self.world_size == 1 else highest_of_all(values, self.device)


def trajectory(spec: TrainSpec, session: GlooSession, layout: Layout, steps: int | None = None) -> Trajectory:
    """Takes the steps of the first phase, or the next `steps` of it. All workers call it."""
    place = place_of(spec, session)
    torch.manual_seed(spec.seed)
    phase = phases_of(spec)[0]
    state = session.load_checkpoint()
    training = PhaseSteps(phase, place, layout, state)
    end = phase.end_step if steps is None else training.first_step + steps
    losses = [place.mean(training.take(step)) for step in range(training.first_step, end)]
    gradients = {
        name: gathered(parameter.grad.detach()).clone()
        for name, parameter in training.learner.model.named_parameters()
        if parameter.grad is not None
    }
    training.learner.average_statistics()
    return Trajectory(losses, gradients, whole_state(training.learner, end, layout, BestWeights(spec.recipe)))


def in_group(work: Callable[..., Any], world_size: int, folder: Path, *arguments: Any) -> list[Any]:
    """Calls `work(rank, world_size, *arguments)`, a function of a module, in processes of a group; returns by rank.

    `folder` is an empty one for files of the group. Raises torch.multiprocessing.ProcessRaisedException, and
    ProcessExitedException if the processes take longer than five minutes.
    """
    # The server imports torch and the train stage once; the processes of all groups are forks of it.
    multiprocessing.set_forkserver_preload(["benchmarks.support.gloo_group"])
    context = torch.multiprocessing.start_processes(
        _in_process,
        args=(work, world_size, str(folder), arguments),
        nprocs=world_size,
        join=False,
        start_method="forkserver",
    )
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not context.join(timeout=1):
        if time.monotonic() > deadline:
            for process in context.processes:
                process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def trained_in_group(
    spec: TrainSpec,
    world_size: int,
    folder: Path,
    layout: Layout,
    state: TrainingState | None = None,
    steps: int | None = None,
) -> Trajectory:
    """The trajectory of `world_size` workers, which is the same for each of them, to the end or for `steps` steps."""
    told: list[Trajectory] = in_group(_train, world_size, folder, spec.model_dump_json(), layout, state, steps)
    return told[0]


def _train(
    rank: int, world_size: int, spec: str, layout: Layout, state: TrainingState | None, steps: int | None
) -> Trajectory:
    read = STAGE_SPEC.validate_json(spec)
    assert isinstance(read, TrainSpec)
    own = deepcopy(state)  # the processes share the memory of tensors that they are given
    return trajectory(read, GlooSession(rank, world_size, own), layout, steps)


def _in_process(rank: int, work: Callable[..., Any], world_size: int, folder: str, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    try:
        torch.save(work(rank, world_size, *arguments), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
