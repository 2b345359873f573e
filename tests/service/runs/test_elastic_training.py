"""A run whose number of training workers is a range: what is accepted, asked of the cluster, and charged."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.config.cluster_shape import ClusterShape
from service.config.run import EstimateRequest
from service.errors import InvalidRequest
from service.estimates.preflight import check_estimate_request
from tests.service.estimates.test_bill import billed, line, made_config
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.worker_group import WorkerGroup, WorkerRange

ONE_TO_FOUR = {"min": 1, "max": 4}


def test_a_number_is_the_fewest_and_the_most() -> None:
    fixed, elastic = WorkerGroup(num_workers=3), WorkerGroup(num_workers=WorkerRange(min=1, max=4))

    assert (fixed.min_workers, fixed.max_workers) == (3, 3)
    assert (elastic.min_workers, elastic.max_workers) == (1, 4)


@pytest.mark.parametrize("num_workers", [1, 100_000, ONE_TO_FOUR, {"min": 2, "max": 2}])
def test_it_is_written_as_it_was_read(num_workers: Any) -> None:
    assert WorkerGroup.model_validate({"num_workers": num_workers}).model_dump()["num_workers"] == num_workers


@pytest.mark.parametrize(
    "wrong",
    [0, True, 1.5, "2", None, [1, 4], {"min": 0, "max": 2}, {"min": 3, "max": 2}, {"min": 1}, {"min": 1, "max": "2"},
     {"min": 1, "max": 2, "most": 3}, {"min": 1, "max": 100_001}],
)  # fmt: skip
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        WorkerGroup.model_validate({"num_workers": wrong})


def test_the_stage_is_told_the_range_and_how_often_to_look(bench: Workbench, run_config: MakeConfig) -> None:
    placement = bench.settings.placement.model_copy(update={"resize_check_seconds": 7.0})
    bench.restart(bench.settings.model_copy(update={"placement": placement}))
    run = bench.commands.create_run(run_config(resources={"train": {"num_workers": ONE_TO_FOUR}})).id
    bench.reconciler().tick()

    spec = bench.ray.spec_of(f"{run}-g0-train-a1")

    assert spec.stage == "train"
    assert (spec.workers.num_workers, spec.resize_check_seconds) == (WorkerRange(min=1, max=4), 7.0)


def test_every_worker_of_the_largest_group_must_have_images_of_each_step(
    bench: Workbench, run_config: MakeConfig
) -> None:
    config = run_config()
    batch = config.teacher_recipe.batch_size
    too_many = run_config(resources={"train": {"num_workers": {"min": 1, "max": batch}}})

    with pytest.raises(InvalidRequest, match=f"shared by {batch} workers"):
        bench.commands.create_run(too_many)


@pytest.mark.parametrize(("devices", "workers"), [(1, 1), (2, 2), (8, 4)])
def test_a_bill_counts_the_workers_that_fit_the_cluster(devices: int, workers: int) -> None:
    config = made_config(resources={"train": {"num_workers": ONE_TO_FOUR}})

    bill = billed(config, cluster=ClusterShape(devices=devices))

    assert line(bill.as_configured, 1, "train").processes == workers


def test_a_cluster_without_room_for_the_fewest_is_refused() -> None:
    config = made_config(resources={"train": {"num_workers": {"min": 3, "max": 8}}})

    with pytest.raises(InvalidRequest, match="room for 2 of the 3 workers"):
        check_estimate_request(EstimateRequest(run=config, cluster=ClusterShape(devices=2)))
    check_estimate_request(EstimateRequest(run=config, cluster=ClusterShape(devices=3)))
