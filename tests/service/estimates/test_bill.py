"""The arithmetic of a bill: computed by hand for round figures, and invariants for any figures."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config.cluster_shape import ClusterShape
from service.config.run import EstimateSettings, RunConfig
from service.estimates.estimated_run import DatasetSize, JobTimes
from service.estimates.forecast import write_bill
from service.estimates.stage_bills import steps_of_search
from service.stages.generation_plans import generation_plans, measured_students
from service.views.estimates import Bill, Forecast, StageBill
from tests.support.made_measurements import PARTS, made_measurement
from workers.specs.measure import ClusterSeen, DataMeasurement, GroupMeasurement, PoolMeasurement
from workers.specs.search import SearchSettings
from workers.specs.stages import ActorPool
from workers.specs.worker_group import WorkerGroup

JOB = JobTimes(waiting_seconds=0.0, start_seconds=2.0, finish_seconds=1.0)
JOB_SECONDS = 2.0 + 1.0 + 0.5 + 0.5
RECIPE = {
    "steps": 1000,
    "batch_size": 8,
    "validate_every_steps": 300,
    "checkpoint_every_steps": 400,
    "schedule": {"warmup_steps": 0},
}


def made_config(**changes: Any) -> RunConfig:
    body = {
        "name": "pets",
        "datasets": {part: f"ds-{part}" for part in PARTS},
        "teacher_model": "small",
        "student_models": ["large"],
        "generations": 2,
        "teacher_recipe": {**RECIPE, "unlabeled_ratio": 0},
        "student_recipe": {**RECIPE, "unlabeled_ratio": 3},
        **changes,
    }
    return RunConfig.model_validate_json(json.dumps(body))


def billed(
    config: RunConfig | None = None,
    sizes: dict[str, DatasetSize] | None = None,
    measured: dict[str, Any] | None = None,
    **plan: Any,
) -> Bill:
    config = config or made_config()
    students, _ = measured_students(generation_plans(config))
    parts = (*PARTS, *config.evaluation.external_datasets)
    found = dict.fromkeys(parts, DatasetSize(rows=100, shards=1)) | {"unlabeled": DatasetSize(10_000, 100)}
    return write_bill(
        config,
        EstimateSettings(**plan),
        found | (sizes or {}),
        made_measurement(students, parts, **(measured or {})),
        JOB,
    )


def line(forecast: Forecast | None, generation: int, stage: str) -> StageBill:
    assert forecast is not None
    [found] = [each for each in forecast.stages if (each.generation, each.stage) == (generation, stage)]
    return found


def test_a_bill_has_a_line_for_each_stage_of_each_generation_and_their_sums() -> None:
    forecast = billed().as_configured
    assert [(each.generation, each.stage) for each in forecast.stages] == [
        (0, "train"),
        (0, "evaluate"),
        *((number, stage) for number in (1, 2) for stage in ("label", "select", "train", "evaluate")),
    ]
    for name in ("wall_seconds", "device_hours", "bytes_read", "bytes_written", "bytes_kept"):
        assert getattr(forecast.totals, name) == pytest.approx(sum(getattr(each, name) for each in forecast.stages))
    assert forecast.totals.cost is None


def test_labeling_is_rows_by_seconds_an_image_and_the_start_of_an_actor() -> None:
    labeling = line(billed(made_config(resources={"label": {"max_actors": 1}})).as_configured, 1, "label")
    assert labeling.work_seconds == pytest.approx(10_000 * 0.01)
    assert labeling.overhead_seconds == pytest.approx(JOB_SECONDS + 5.0 + 1.0)
    assert labeling.images_per_second_per_device == pytest.approx(100)
    assert labeling.device_hours == pytest.approx(labeling.wall_seconds / 3600)
    assert labeling.bytes_read == 10_000 * 1000 + 4000
    assert labeling.bytes_written == labeling.bytes_kept == 10_000 * 50


def test_a_materialised_selection_moves_its_images_twice_by_the_pool_and_keeps_them_once() -> None:
    read = DataMeasurement(images=10, bytes_an_image=1000.0, read_seconds_an_image=0.01)
    measured = {"datasets": dict.fromkeys(PARTS, read)}
    resources = {"label": {"max_actors": 1}}
    plain = line(billed(made_config(resources=resources), measured=measured).as_configured, 1, "select")
    config = made_config(resources=resources, selection={"materialize": {"rows_per_shard": 1000}})
    bill = billed(config, measured=measured)
    copying = line(bill.as_configured, 1, "select")
    assert (plain.devices, copying.devices, copying.processes) == (0, 1, 1)
    image_and_labels = 10_000 * (1000 + 50)
    assert copying.bytes_read - plain.bytes_read == 2 * image_and_labels
    assert copying.bytes_written - plain.bytes_written == 2 * image_and_labels
    assert copying.bytes_kept - plain.bytes_kept == image_and_labels
    assert copying.work_seconds - plain.work_seconds == pytest.approx(4 * 10_000 * 0.01)
    assert copying.overhead_seconds - plain.overhead_seconds == pytest.approx(0.5 + 2 * 5.0)
    assert any("materialis" in each.lower() for each in bill.assumptions)


def test_materialising_takes_no_gpus_and_no_more_actors_than_runs() -> None:
    resources = {"label": {"gpus_per_actor": 1.0, "cpus_per_actor": 2.0}}
    config = made_config(resources=resources, selection={"materialize": {"rows_per_shard": 1000}})
    cluster = ClusterShape(devices=8, cpus_per_device=4, gpus_per_device=1)
    copying = line(billed(config, cluster=cluster).as_configured, 1, "select")
    assert copying.processes == 3  # 10,000 images in runs of 4,000
    assert copying.devices == 3 * 0.5


def test_training_is_steps_validations_checkpoints_and_the_start_of_the_group() -> None:
    training = line(billed().as_configured, 1, "train")
    # 1,000 steps, the first a second longer; validations at 300, 600, 900 and 1000; checkpoints at 400 and 800.
    assert training.work_seconds == pytest.approx(100 + 1.0 + 4 * 100 * 0.01 + 2 * 1.0 + 0.5)
    assert training.overhead_seconds == pytest.approx(JOB_SECONDS + 10.0)
    assert training.images == 1000 * 32
    assert training.images_per_second_per_device == pytest.approx(320)
    assert training.bytes_kept == 4000 + 2 * 16_000


def test_the_resolution_step_is_trained_too() -> None:
    plain = line(billed().as_configured, 1, "train")
    recipe = {**RECIPE, "unlabeled_ratio": 3, "resolution_step": {"image_size": 300, "steps": 100}}
    stepped = line(billed(made_config(student_recipe=recipe)).as_configured, 1, "train")
    assert stepped.images - plain.images == 100 * 8
    # Its steps, its first step, and the validation at its end, but not the checkpoint at 1,000.
    assert stepped.work_seconds - plain.work_seconds == pytest.approx(10 + 1.0 + 100 * 0.01)


def test_calibration_is_a_pass_over_validation_images_before_labeling() -> None:
    plain = line(billed().as_configured, 1, "label")
    recipe = {**RECIPE, "unlabeled_ratio": 3, "temperature": "fit"}
    fitted = line(billed(made_config(student_recipe=recipe)).as_configured, 1, "label")
    assert fitted.work_seconds == plain.work_seconds
    assert fitted.overhead_seconds - plain.overhead_seconds == pytest.approx(6.0 + 100 * 0.008)


def test_robustness_and_external_sets_are_evaluated_too() -> None:
    plain = line(billed().as_configured, 0, "evaluate")
    evaluation = {
        "robustness": {"corruptions": {"sample": 40}, "stability": {"sample": 500}, "adversarial": None},
        "external": [{"name": "sketches", "dataset": "ds-x"}],
    }
    config = made_config(evaluation=evaluation, resources={"label": {"max_actors": 1}})
    more = line(billed(config).as_configured, 0, "evaluate")
    # The sample cannot exceed the number of pictures.
    assert more.work_seconds - plain.work_seconds == pytest.approx(100 * 0.008 + 40 * 0.5 + 100 * 0.25)
    assert (plain.images, more.images) == (100, 200)


def test_a_search_is_billed_by_the_steps_that_its_early_stopping_grants() -> None:
    config = made_config(search={"trials": 20, "steps_fraction": 0.5, "max_parallel": 1})
    searching = line(billed(config).as_configured, 1, "search")
    assert searching.images == round(0.45 * 20 * 500) * 32
    unstopped = made_config(search={"trials": 20, "steps_fraction": 0.5, "max_parallel": 1, "early_stopping": None})
    assert line(billed(unstopped).as_configured, 1, "search").images == 20 * 500 * 32


@given(trials=st.integers(1, 200), steps=st.integers(1, 10_000))
def test_a_search_takes_no_more_steps_than_full_trials_and_no_fewer_than_one_of_them(trials: int, steps: int) -> None:
    assert steps <= steps_of_search(SearchSettings(trials=trials), steps) <= trials * steps


def test_without_a_cluster_the_bill_is_for_the_one_that_measured() -> None:
    bill = billed()
    assert bill.whole_cluster is None
    assert bill.as_configured.devices == 2
    assert line(bill.as_configured, 1, "label").processes == 2
    assert line(bill.as_configured, 1, "train").processes == 1


def test_the_runs_own_limits_hold_but_for_the_whole_cluster() -> None:
    config = made_config(resources={"label": {"max_actors": 1}, "train": {"num_workers": 2}})
    bill = billed(config, cluster=ClusterShape(devices=8))
    assert line(bill.as_configured, 1, "label").processes == 1
    assert line(bill.as_configured, 1, "train").processes == 2
    assert line(bill.whole_cluster, 1, "label").processes == 8
    assert line(bill.whole_cluster, 1, "train").processes == 8


def test_a_group_has_no_more_workers_than_a_batch_has_labeled_images() -> None:
    assert line(billed(cluster=ClusterShape(devices=64)).whole_cluster, 1, "train").processes == 8


def test_an_actor_of_several_cpus_takes_as_many_devices() -> None:
    config = made_config(resources={"label": {"cpus_per_actor": 4}})
    labeling = line(billed(config, cluster=ClusterShape(devices=10)).as_configured, 1, "label")
    assert (labeling.processes, labeling.devices) == (2, 8)
    assert labeling.images_per_second_per_device == pytest.approx(25)


def test_a_gpu_is_a_device_with_the_cpus_beside_it() -> None:
    resources = {
        "label": {"cpus_per_actor": 6, "gpus_per_actor": 0.5},
        "train": {"num_workers": 4, "cpus_per_worker": 4, "gpus_per_worker": 1},
    }
    shape = ClusterShape(devices=4, cpus_per_device=12, gpus_per_device=1)
    bill = billed(made_config(resources=resources), cluster=shape)
    assert line(bill.as_configured, 1, "train").devices == 4
    assert (line(bill.as_configured, 1, "label").processes, line(bill.as_configured, 1, "label").devices) == (8, 4)


ON_GPUS = {
    # As a plan from zero nodes sees it: the node that it got has two GPUs, and its group may have three such nodes.
    "cluster": ClusterSeen(cpus=12.0, gpus=2.0, nodes=2, cpus_beside_gpus=12.0, most_cpus=68.0, most_gpus=6.0),
    "group": GroupMeasurement(workers=1, gpus_per_worker=1.0, setup_seconds=10.0, finish_seconds=0.0),
    "pool": PoolMeasurement(actors=1, gpus_per_actor=1.0, setup_seconds=5.0, finish_seconds=0.0),
}


def test_what_the_driver_decided_is_billed_with_all_nodes_that_may_come() -> None:
    bill = billed(made_config(resources={"train": {"num_workers": 4}}), measured=ON_GPUS)
    training, labeling = line(bill.as_configured, 1, "train"), line(bill.as_configured, 1, "label")

    assert bill.as_configured.devices == 6
    assert (training.processes, training.devices) == (4, 4)
    assert (labeling.processes, labeling.devices) == (6, 6)
    said = " ".join(bill.assumptions)
    assert "Training was measured with 1 GPU(s) for each process." in said
    assert "may grow to 68 CPUs and 6 GPUs" in said


def test_a_bill_for_cpus_says_why() -> None:
    on_cpus = {
        "group": GroupMeasurement(workers=1, gpus_per_worker=0.0, setup_seconds=10.0, finish_seconds=0.0),
        "pool": PoolMeasurement(actors=1, gpus_per_actor=0.0, setup_seconds=5.0, finish_seconds=0.0),
    }
    asked = made_config(resources={"label": {"gpus_per_actor": 0}})
    said = " ".join(billed(asked, measured=on_cpus).assumptions)

    assert "Training was measured on CPUs: no node, and no group of nodes, has GPUs and the labels" in said
    assert "Labeling was measured on CPUs, because the run asks for no GPUs." in said


def test_devices_of_a_bill_are_those_that_the_attempt_is_charged_for() -> None:
    resources = {"train": {"num_workers": 3, "cpus_per_worker": 2}, "label": {"max_actors": 2, "cpus_per_actor": 2}}
    bill = billed(made_config(resources=resources), measured=ON_GPUS)
    train = WorkerGroup(num_workers=3, cpus_per_worker=2.0, gpus_per_worker=1.0)
    label = ActorPool(max_actors=2, cpus_per_actor=2.0, gpus_per_actor=1.0)

    assert line(bill.as_configured, 1, "train").devices == train.max_workers * train.gpus
    assert line(bill.as_configured, 1, "label").devices == 2 * label.gpus


SHARDS = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(shards=SHARDS, rows=st.integers(1, 5000), devices=st.integers(1, 16))
def test_twice_the_devices_label_in_half_the_time(shards: int, rows: int, devices: int) -> None:
    size = {"unlabeled": DatasetSize(rows * shards * 2 * devices, shards * 2 * devices)}
    few, many = (
        line(billed(sizes=size, cluster=ClusterShape(devices=count)).whole_cluster, 1, "label")
        for count in (devices, 2 * devices)
    )
    assert many.work_seconds == pytest.approx(few.work_seconds / 2)
    assert many.overhead_seconds == few.overhead_seconds
    assert many.bytes_written == few.bytes_written


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(1, 4))
def test_twice_the_workers_train_in_little_more_than_half_the_time(workers: int) -> None:
    few, many = (
        line(billed(cluster=ClusterShape(devices=count)).whole_cluster, 1, "train") for count in (workers, 2 * workers)
    )
    assert few.work_seconds / 2 < many.work_seconds < few.work_seconds
    assert many.device_hours > few.device_hours


def test_a_group_as_large_as_the_measured_one_takes_what_was_measured() -> None:
    config = made_config(resources={"train": {"num_workers": 4}})
    measured = {"group": GroupMeasurement(workers=4, setup_seconds=10.0, finish_seconds=0.0)}
    assert line(billed(config, measured=measured).as_configured, 1, "train").work_seconds == pytest.approx(107.5)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(1, 10**12))
def test_a_larger_pool_costs_in_proportion(images: int) -> None:
    config = made_config(resources={"label": {"max_actors": 1}})
    labeling = line(billed(config, unlabeled_images=images).as_configured, 1, "label")
    assert labeling.images == images
    assert labeling.bytes_written == images * 50
    # The last shard counts as full.
    assert images * 0.01 <= labeling.work_seconds * 1.000001
    assert labeling.work_seconds <= images * 0.01 + 100 * 0.01
    assert line(billed(config, unlabeled_images=images).as_configured, 1, "train").images == 32_000


def test_price_and_spot_devices_make_the_cost() -> None:
    plain = billed(cluster=ClusterShape(devices=2, price_per_device_hour=3.0)).as_configured
    assert plain.totals.cost == pytest.approx(3.0 * plain.totals.device_hours)
    calm = ClusterShape.model_validate(
        {
            "devices": 2,
            "price_per_device_hour": 3.0,
            "spot": {"share": 0.5, "price_share": 0.2, "interruptions_per_device_hour": 0.0},
        }
    )
    spot = billed(cluster=calm).as_configured
    assert spot.totals.wall_seconds == pytest.approx(plain.totals.wall_seconds)
    assert plain.totals.cost is not None
    assert spot.totals.cost == pytest.approx(plain.totals.cost * 0.6)


def test_interruptions_of_spot_devices_lengthen_the_work() -> None:
    shape = {"devices": 2, "spot": {"share": 1.0, "interruptions_per_device_hour": 6.0}}
    plain = billed(cluster=ClusterShape(devices=2)).as_configured
    spot = billed(cluster=ClusterShape.model_validate(shape)).as_configured
    # One worker, six times an hour: half of 400 steps, and the start of the group.
    assert line(spot, 1, "train").work_seconds == pytest.approx(
        line(plain, 1, "train").work_seconds * (1 + 6 * (20 + 10) / 3600)
    )
    assert line(spot, 1, "label").work_seconds > line(plain, 1, "label").work_seconds


def test_large_selections_use_every_core() -> None:
    small = line(billed().as_configured, 1, "select")
    large = line(billed(unlabeled_images=300_000_000).as_configured, 1, "select")
    assert (small.processes, large.processes) == (1, 4)
    assert large.work_seconds == pytest.approx((300 * 0.25 + 3_000_000 * 0.001) / 4)
    assert small.device_hours == 0


def test_assumptions_are_said() -> None:
    shape = ClusterShape.model_validate({"devices": 2, "spot": {"share": 0.5}})
    config = made_config(search={"trials": 2}, gate={"conditions": ["top1 > 0.5"]})
    text = "\n".join(billed(config, cluster=shape, unlabeled_images=300_000_000).assumptions)
    for said in ("1 actor(s) and 1 worker(s)", "95 %", "300,000,000", "spot devices at 35 %", "early stopping", "gate"):
        assert said in text


def test_generations_that_train_the_same_are_measured_once() -> None:
    assert measured_students(generation_plans(made_config(generations=3)))[1] == (0, 1, 1, 1)
    ladder = made_config(generations=2, student_models=["large", "larger"])
    assert measured_students(generation_plans(ladder))[1] == (0, 1, 2)
