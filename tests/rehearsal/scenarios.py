"""What goes wrong on a cluster that grows and shrinks, and runs for it to happen to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.faults.watch import Watch
from noisy_student.local.demo.run import register_digits
from tests.rehearsal.checks import lost_or_doubled
from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.small_runs import small_run
from tests.rehearsal.watch import Fault, Outcome, Sight, rehearse
from workers.specs.node_labels import ACCELERATOR, OWN_GROUP
from workers.specs.reports import WaitKind

Datasets = Mapping[str, str]
Bodies = Callable[[Datasets], list[dict[str, Any]]]
_ON_CPUS = {
    "min_actors": 1,
    "max_actors": 1,
    "cpus_per_actor": 1,
    "gpus_per_actor": 0,
    "node_labels": {OWN_GROUP: "cpu"},
}
_LONG_STEPS = 300
"""So that training still goes on when a fault has been decided on."""
_HURT_AFTER_STEPS = 40
"""Two checkpoints."""


@dataclass(frozen=True)
class Scenario:
    """Runs and faults. `settle` checks or awaits what this scenario is about beyond the end of the runs."""

    bodies: Bodies
    faults: tuple[Fault, ...]
    settle: Callable[[Rehearsal], None] = field(default=lambda rehearsal: None)


@dataclass(frozen=True)
class Played:
    """A scenario's outcome. `complaints` is empty if nothing was lost or done twice."""

    outcome: Outcome
    complaints: list[str]
    zero_after_seconds: float
    """From the end of the last run until no node was left."""


def play(rehearsal: Rehearsal, scenario: Scenario, datasets: Datasets) -> Played:
    """Plays a scenario on a cluster without nodes, until the cluster is without nodes again."""
    assert not rehearsal.state.nodes(), "an earlier scenario has left nodes"
    with Watch(rehearsal.artifacts) as watch:
        outcome = rehearse(rehearsal, scenario.bodies(datasets), scenario.faults)
    scenario.settle(rehearsal)
    zero = rehearsal.wait_for_zero()
    complaints = lost_or_doubled(outcome.runs, watch, rehearsal.datasets / "unlabeled")
    if outcome.faults != len(scenario.faults):
        complaints.append(f"{outcome.faults} of {len(scenario.faults)} faults found their moment")
    return Played(outcome, complaints, zero)


def with_datasets(rehearsal: Rehearsal) -> dict[str, str]:
    """Registers the demo's digits, and returns the ids of the datasets."""
    return register_digits(rehearsal.client, rehearsal.datasets, seed=3)


def _in_training(sight: Sight) -> bool:
    return sight.stage == "gen-0/train" and sight.done >= _HURT_AFTER_STEPS


def _waits(stage: str) -> Callable[[Sight], bool]:
    return lambda sight: sight.stage == stage and sight.waiting is WaitKind.NODE_COMING


def _labels(sight: Sight) -> bool:
    return sight.stage == "gen-1/label" and sight.has_begun


def take_node(group: str) -> Callable[[Rehearsal], None]:
    """A spot machine is taken back: its pod gets SIGTERM and its grace period."""
    return lambda rehearsal: rehearsal.kubelet.delete(_a_node(rehearsal, group), "cloud", "its machine is taken back")


def kill_node(group: str) -> Callable[[Rehearsal], None]:
    """A machine of the group loses its power."""
    return lambda rehearsal: rehearsal.kubelet.kill(_a_node(rehearsal, group))


def kill_head(rehearsal: Rehearsal) -> None:
    """The head's machine loses its power."""
    rehearsal.kubelet.kill(f"{rehearsal.state.name}-head")


def kill_autoscaler(rehearsal: Rehearsal) -> None:
    """Ray's autoscaler dies, but not its container."""
    rehearsal.kubelet.kill_autoscaler()


def withhold(group: str) -> Callable[[Rehearsal], None]:
    """From now on the cloud has no machine for the group."""
    return lambda rehearsal: rehearsal.kubelet.withheld.add(group)


def _a_node(rehearsal: Rehearsal, group: str) -> str:
    return next(pod.name for pod in rehearsal.state.pods(group) if pod.phase == "Running" and not pod.is_terminating)


def _upgraded(rehearsal: Rehearsal) -> None:
    rehearsal.upgrade()


def _autoscaler_is_back(rehearsal: Rehearsal) -> None:
    rehearsal.wait_for(rehearsal.kubelet.has_autoscaler, "the autoscaler's return")


def _machines_are_back(rehearsal: Rehearsal) -> None:
    rehearsal.kubelet.withheld.clear()


def _teacher(generations: int = 0, **changes: Any) -> Bodies:
    """One run whose teacher trains for long enough, alone or with as many students."""
    return lambda datasets: [small_run(datasets, generations=generations, teacher_steps=_LONG_STEPS, **changes)]


def _ten_runs(datasets: Datasets) -> list[dict[str, Any]]:
    one_worker = {"num_workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0}
    return [
        small_run(datasets, generations=0, train=one_worker, label=_ON_CPUS, name=f"queued {number}")
        for number in range(10)
    ]


_ANY_GPU = {
    "min_actors": 1,
    "max_actors": 1,
    "cpus_per_actor": 1,
    "gpus_per_actor": 1,
    "node_labels": {ACCELERATOR: "gpu"},
}
SCENARIOS = {
    "a spot node is taken back in training": Scenario(_teacher(), (Fault(_in_training, take_node("cpu")),)),
    "nodes lose their power": Scenario(
        _teacher(generations=1), (Fault(_in_training, kill_node("cpu")), Fault(_labels, kill_node("gpu-label")))
    ),
    "the head is lost": Scenario(_teacher(), (Fault(_in_training, kill_head),)),
    "the autoscaler is killed": Scenario(
        _teacher(),
        (Fault(_waits("gen-0/train"), kill_autoscaler), Fault(_waits("gen-0/evaluate"), kill_autoscaler)),
        settle=_autoscaler_is_back,
    ),
    "the preferred group has no machines": Scenario(
        _teacher(label=_ANY_GPU), (Fault(_in_training, withhold("gpu-label")),), settle=_machines_are_back
    ),
    "ten stages wait on a cluster with room for two": Scenario(_ten_runs, ()),
    "an upgrade resets the replicas under load": Scenario(
        _teacher(), (Fault(_waits("gen-0/train"), _upgraded), Fault(_in_training, _upgraded))
    ),
}
