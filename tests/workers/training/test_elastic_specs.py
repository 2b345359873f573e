"""What follows from a range of workers: what training waits for, is charged for, and in which order it sees samples."""

from typing import Any

import pytest

from tests.workers.training.conftest import CLASSES, MemorySession
from workers.data.order.lanes import Layout
from workers.runtime.capacity import demand_of
from workers.specs.devices import DeviceKind, Devices, devices_of
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import NumWorkers, WorkerGroup, WorkerRange
from workers.training.steps import layout_of, place_of


class OneOf(MemorySession):
    """One of so many workers."""

    def __init__(self, world_size: int) -> None:
        super().__init__()
        self.world_size = world_size


def spec(num_workers: NumWorkers, **group: Any) -> TrainSpec:
    return TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri="/none",
        seed=3,
        model="test_resnet",
        classes=CLASSES,
        recipe=Recipe(),
        labeled_manifest_uri="/none",
        validation_manifest_uri="/none",
        workers=WorkerGroup(num_workers=num_workers, **group),
    )


def test_it_waits_for_the_fewest_and_is_charged_for_the_most() -> None:
    elastic = spec(WorkerRange(min=2, max=5), gpus_per_worker=1.0)
    demand = demand_of(elastic)

    assert demand is not None
    assert (demand.parts, demand.gpus) == (2, 1.0)
    assert devices_of(elastic) == Devices(kind=DeviceKind.GPU, count=5.0)


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_its_samples_are_ordered_as_for_the_most_workers_however_many_it_begins_with(world_size: int) -> None:
    elastic = spec(WorkerRange(min=2, max=5), loader_processes=3)

    assert layout_of(elastic, place_of(elastic, OneOf(world_size))) == Layout(5, 3)


def test_those_of_a_fixed_group_are_ordered_for_its_workers() -> None:
    assert [layout_of(spec(num), place_of(spec(num), OneOf(2))) for num in (2, WorkerRange(min=2, max=2))] == [
        Layout(2, 1),
        Layout(2, 1),
    ]
