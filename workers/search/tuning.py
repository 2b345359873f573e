"""Runs proposed trainings as trials of Ray Tune: in parallel, stopped early by a scheduler, and surviving failures.

The search and the ablation share it. The proposer decides what is tried, and remembers what came of it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from workers.artifact_io import join_uri, ray_storage, write_bytes
from workers.runtime.capacity import demand_of, parts_that_fit
from workers.runtime.node_groups import look_at_cluster
from workers.search.trial_training import TrialConfig, run_trial
from workers.specs.stages import TrainSpec, spec_name

TuneResult = dict[str, Any]
"""What Tune makes of a trial's report: our numbers, and texts of its own."""

TIME = "step"
_RETRIES = 1
"""How often a trial is tried again. It may lose its worker through no fault of its own."""
_ENVIRONMENT = {
    # No log files of Tune: the proposer's file has the results.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    # Few snapshots of the experiment: a rerun goes on from the proposer's file.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@dataclass(frozen=True)
class Training:
    """One trial: its number and its training."""

    number: int
    spec: TrainSpec


class Proposer(Protocol):
    """Says what to train, and is told what comes of it. All calls come from one thread of the driver."""

    def propose(self) -> Training | None:
        """The next training; None if there is none."""
        ...

    def started(self, number: int) -> None: ...

    def reported(self, number: int, step: int, values: dict[str, float]) -> None: ...

    def ended_with(self, number: int, failure: str | None) -> None: ...


def run_trials(
    proposer: Proposer,
    folder_uri: str,
    attempt: int,
    shape: TrainSpec,
    scheduler: TrialScheduler | None = None,
    max_parallel: int | None = None,
) -> None:
    """Runs every proposed training to its end with Ray Tune's Tuner. `shape` says what a trial asks of the cluster.

    A trial with one worker trains in its own process, which the next trial uses again: torch is imported once for many
    trials. A trial with several workers starts a worker group of Ray Train. Tune's files go to `folder_uri`/tune.
    """
    os.environ.update(_ENVIRONMENT)
    # This logger would complain about the missing log files.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    workers = shape.workers
    alone = workers.num_workers == 1
    if alone:
        resources = _one_bundle({"CPU": workers.cpus_per_worker, "GPU": workers.gpus}, workers.node_labels or {})
    else:
        # The workers of a group ask for CPUs. The trial only waits for them, but Tune wants it to ask for something.
        resources = _one_bundle({"memory": 1 << 20}, shape.nodes.helper_node_labels)
    parallel = max_parallel if alone else min(max_parallel or 1_000_000, _groups_that_fit(shape))
    tuner = tune.Tuner(
        tune.with_resources(run_trial, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Proposals(proposer),
            scheduler=scheduler or FIFOScheduler(),
            num_samples=-1,
            max_concurrent_trials=parallel,
            trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}-{trial.trial_id}",
            reuse_actors=alone,
        ),
        run_config=tune.RunConfig(
            name=f"attempt-{attempt}",
            **ray_storage(join_uri(folder_uri, "tune")),
            callbacks=[_Listener(proposer)],
            failure_config=tune.FailureConfig(max_failures=_RETRIES),
            verbose=0,
        ),
    )
    tuner.fit()


class _Proposals(Searcher):
    """Passes the proposer's trainings to Tune. The listener tells the proposer of results."""

    def __init__(self, proposer: Proposer) -> None:
        super().__init__()
        self._proposer = proposer

    # Ray's annotation leaves out Searcher.FINISHED, a text, which its documentation names.
    def suggest(self, trial_id: str) -> dict[str, object] | str:  # type: ignore[override]
        training = self._proposer.propose()
        if training is None:
            return str(Searcher.FINISHED)
        # A superseded training stops when it finds a later attempt's spec in its folder.
        text = training.spec.model_dump_json()
        write_bytes(join_uri(training.spec.folder_uri, spec_name(training.spec.attempt)), text.encode())
        return dict(TrialConfig(number=training.number, spec=text))

    def on_trial_complete(self, trial_id: str, result: TuneResult | None = None, error: bool = False) -> None:
        """Does nothing: `_Listener` handles it."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the proposer's file keeps what a rerun needs."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing, like `save`."""


class _Listener(tune.Callback):
    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **_: object) -> None:
        self._proposer.started(trial.config["number"])

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: TuneResult, **_: object
    ) -> None:
        values = {name: float(value) for name, value in result.items() if name.startswith("validation_")}
        self._proposer.reported(trial.config["number"], int(result[TIME]), values)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **_: object) -> None:
        self._proposer.ended_with(trial.config["number"], None)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **_: object) -> None:
        self._proposer.ended_with(trial.config["number"], _last_line(trial))


def _last_line(trial: TuneTrial) -> str:
    lines = [line.strip() for line in str(trial.get_error() or "").splitlines() if line.strip()]
    return lines[-1][:2000] if lines else "the trial's process was lost"


def _one_bundle(bundle: Mapping[str, float], node_labels: Mapping[str, str]) -> tune.PlacementGroupFactory:
    """What a trial's own process asks for, and where."""
    asked = {name: amount for name, amount in bundle.items() if amount}
    return tune.PlacementGroupFactory([asked], bundle_label_selector=[dict(node_labels)])


def _groups_that_fit(shape: TrainSpec) -> int:
    """How many worker groups fit on the cluster as it is. A group that waits for half of its workers blocks another."""
    demand = demand_of(shape)
    assert demand is not None
    return max(1, parts_that_fit(demand, look_at_cluster().nodes) // demand.parts)
