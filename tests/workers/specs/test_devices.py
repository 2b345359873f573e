"""What an attempt is charged for follows from the spec, as its driver completes it on the cluster."""

from typing import Any

import pytest

from workers.runtime.capacity import ClusterView, Node, NodeGroup
from workers.runtime.placement import settled
from workers.specs.ablation import AblationSettings
from workers.specs.devices import devices_of
from workers.specs.measure import MeasuredStudent
from workers.specs.recipe import Recipe
from workers.specs.search import FloatRange, SearchSettings, SearchSpace
from workers.specs.selection import Materialization, SelectionSettings
from workers.specs.stages import (
    AblateSpec,
    ActorPool,
    AnyStageSpec,
    EvaluateSpec,
    LabelSpec,
    MeasureSpec,
    SearchSpec,
    SelectSpec,
    TrainSpec,
)
from workers.specs.worker_group import WorkerGroup

CPUS = ClusterView((Node({"CPU": 64.0}),))
GPUS = ClusterView((Node({"CPU": 64.0, "GPU": 8.0}),))
FROM_ZERO = ClusterView((Node({"memory": 1.0}),), (NodeGroup("gpu", {"CPU": 8.0, "GPU": 1.0}, 4),))
COMMON: dict[str, Any] = {"run_id": "run-1", "generation": 1, "attempt": 1, "folder_uri": "/none", "seed": 0}
RECIPE = Recipe(steps=1, batch_size=8)


def train(**workers: Any) -> TrainSpec:
    return TrainSpec(
        **COMMON,
        model="small",
        classes=("a", "b"),
        recipe=RECIPE,
        labeled_manifest_uri="/none",
        validation_manifest_uri="/none",
        workers=WorkerGroup(**workers),
    )


def label(**pool: Any) -> LabelSpec:
    return LabelSpec(**COMMON, model_uri="/none", manifest_uri="/none", pool=ActorPool(**pool))


def evaluate(**pool: Any) -> EvaluateSpec:
    return EvaluateSpec(**COMMON, model_uri="/none", manifest_uri="/none", pool=ActorPool(**pool))


def select(materialize: Materialization | None, **pool: Any) -> SelectSpec:
    return SelectSpec(
        **COMMON,
        manifest_uri="/none",
        labels_uri="/none",
        classes=("a", "b"),
        settings=SelectionSettings(materialize=materialize),
        pool=ActorPool(gpus_per_actor=0.0, **pool),
    )


def search(base: TrainSpec, **settings: Any) -> SearchSpec:
    space = SearchSpace(dropout=FloatRange(low=0.1, high=0.5))
    return SearchSpec(**COMMON, base=base, settings=SearchSettings(space=space, **settings))


def ablate(base: TrainSpec, **settings: Any) -> AblateSpec:
    return AblateSpec(
        **COMMON,
        base=base,
        selection=select(None),
        settings=AblationSettings(**settings),
        teacher_uri="/none",
        teacher_model="small",
        teacher_error=None,
        judged_manifest_uri="/none",
    )


def measure(workers: WorkerGroup, pool: ActorPool) -> MeasureSpec:
    return MeasureSpec(
        **COMMON,
        classes=("a", "b"),
        students=(MeasuredStudent(model="small", recipe=RECIPE, pseudo_labeled=False),),
        labeled_manifest_uri="/none",
        unlabeled_manifest_uri=None,
        validation_manifest_uri="/none",
        test_manifest_uri="/none",
        workers=workers,
        pool=pool,
        sample_seconds=1.0,
    )


@pytest.mark.parametrize(
    ("spec", "view", "expected"),
    [
        (train(num_workers=2, cpus_per_worker=4), CPUS, ("cpu", 8)),
        (train(num_workers=2, cpus_per_worker=4), GPUS, ("gpu", 2)),
        (train(num_workers=2, cpus_per_worker=4), FROM_ZERO, ("gpu", 2)),
        (train(num_workers=2, cpus_per_worker=4, gpus_per_worker=0.0), GPUS, ("cpu", 8)),
        (train(num_workers=3, gpus_per_worker=0.5), CPUS, ("gpu", 1.5)),
        (label(min_actors=2, cpus_per_actor=0.5), CPUS, ("cpu", 1)),
        (label(min_actors=2, max_actors=6), FROM_ZERO, ("gpu", 6)),
        (evaluate(max_actors=3, gpus_per_actor=2.0), GPUS, ("gpu", 6)),
        (select(None, max_actors=6), GPUS, ("cpu", 1)),
        (select(Materialization(), max_actors=6), GPUS, ("cpu", 6)),
        (search(train(), trials=9, max_parallel=3, workers_per_trial=2), GPUS, ("gpu", 6)),
        (search(train(cpus_per_worker=2), trials=9), CPUS, ("cpu", 2)),
        (ablate(train(cpus_per_worker=2), max_parallel=2), GPUS, ("gpu", 2)),
        (ablate(train(num_workers=3, parallelism="fsdp"), max_parallel=2), GPUS, ("gpu", 6)),
        (measure(WorkerGroup(num_workers=2), ActorPool(max_actors=5)), FROM_ZERO, ("gpu", 5)),
        (measure(WorkerGroup(num_workers=2), ActorPool(gpus_per_actor=0.0, max_actors=9)), GPUS, ("gpu", 2)),
    ],
)
def test_an_attempt_is_charged_for_what_its_driver_decided(
    spec: AnyStageSpec, view: ClusterView, expected: tuple[str, float]
) -> None:
    devices = devices_of(settled(spec, view))

    assert (devices.kind, devices.count) == expected
