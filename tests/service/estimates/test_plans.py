"""Plans on both kinds of database: checked like runs, measured by one stage, billed from its result."""

from typing import Any

import pytest

from service.config.cluster_shape import ClusterShape
from service.config.run import EstimateRequest
from service.config.studies import SearchRequest
from service.errors import InvalidRequest, NotFound
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.reports import FailureReason
from workers.specs.stages import MeasureSpec


def test_a_plan_is_a_run_of_one_stage_that_measures_what_differs(bench: Workbench, run_config: MakeConfig) -> None:
    config = run_config(generations=3, search={"trials": 2, "objective": "corrupted_accuracy"})
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=config, sample_seconds=2.0), "key")
    assert bench.estimate_commands.create_plan(EstimateRequest(run=config, sample_seconds=2.0), "key") == plan
    assert (plan.state, plan.run, plan.bill, plan.measurement) == ("running", config, None, None)
    bench.play_to_the_end(bench.reconciler())

    [job] = bench.ray.jobs
    assert job == f"{plan.id}-g0-measure-a1"
    spec = bench.ray.spec_of(job)
    assert isinstance(spec, MeasureSpec)
    assert [(each.model, each.pseudo_labeled) for each in spec.students] == [("small", False), ("large", True)]
    assert (spec.sample_seconds, spec.corrupted_validation) == (2.0, True)
    assert spec.unlabeled_manifest_uri is not None
    assert bench.queries.get_run(plan.id).kind == "plan"
    assert bench.queries.list_runs().items == []
    assert [each.id for each in bench.estimate_queries.list_plans().items] == [plan.id]


def test_the_bill_is_there_once_all_is_measured(bench: Workbench, run_config: MakeConfig) -> None:
    request = EstimateRequest(run=run_config(), cluster=ClusterShape(devices=4, price_per_device_hour=1.0))
    plan = bench.estimate_commands.create_plan(request)
    bench.play_to_the_end(bench.reconciler())

    found = bench.estimate_queries.get_plan(plan.id)
    assert found.state == "succeeded"
    assert [line.stage for line in found.bill.as_configured.stages] == [
        "train",
        "evaluate",
        "label",
        "select",
        "train",
        "evaluate",
    ]
    # The data sizes are the recorded ones.
    assert found.bill.as_configured.stages[2].images == 10
    assert found.bill.whole_cluster.devices == 4
    cost = found.bill.as_configured.totals.cost
    assert cost is not None
    assert cost > 0


def test_a_run_without_students_is_planned_without_unlabeled_images(bench: Workbench, run_config: MakeConfig) -> None:
    config = run_config(generations=0, student_models=[])
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=config))
    bench.play_to_the_end(bench.reconciler())
    assert bench.ray.spec_of(f"{plan.id}-g0-measure-a1").unlabeled_manifest_uri is None
    bill = bench.estimate_queries.get_plan(plan.id).bill
    assert [line.stage for line in bill.as_configured.stages] == ["train", "evaluate"]


def test_the_gate_of_a_planned_run_does_not_judge_the_plan(bench: Workbench, run_config: MakeConfig) -> None:
    config = run_config(gate={"conditions": ["top1 >= 0.99"]})
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=config))
    bench.play_to_the_end(bench.reconciler())
    assert bench.estimate_queries.get_plan(plan.id).state == "succeeded"


def test_a_plan_whose_measurement_fails_says_why_and_has_no_bill(bench: Workbench, run_config: MakeConfig) -> None:
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=run_config()))
    reconciler = bench.reconciler()
    bench.play(reconciler, until=lambda _: True)
    job = f"{plan.id}-g0-measure-a1"
    bench.ray.write_failure(job, FailureReason.BAD_DATA, "no image can be read")
    bench.ray.end(job, "FAILED")
    for _ in range(4):
        reconciler.tick()
    found = bench.estimate_queries.get_plan(plan.id)
    assert (found.state, found.bill) == ("failed", None)
    assert "no image can be read" in str(found.state_reason)


@pytest.mark.parametrize(
    ("run", "plan", "field"),
    [
        ({"teacher_model": "absent"}, {}, "run.teacher_model"),
        ({"generations": 0, "student_models": []}, {"unlabeled_images": 5}, "unlabeled_images"),
        ({"resources": {"train": {"num_workers": 3}}}, {"cluster": {"devices": 2}}, "cluster.devices"),
        ({"resources": {"label": {"min_actors": 3}}}, {"cluster": {"devices": 2}}, "cluster.devices"),
        ({"resources": {"label": {"gpus_per_actor": 1}}}, {"cluster": {"devices": 2}}, "cluster.gpus_per_device"),
        ({"search": {"trials": 2, "workers_per_trial": 4}}, {"cluster": {"devices": 2}}, "cluster.devices"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_kept(
    bench: Workbench, run_config: MakeConfig, run: dict[str, Any], plan: dict[str, Any], field: str
) -> None:
    request = EstimateRequest.model_validate({"run": run_config(**run), **plan})
    with pytest.raises(InvalidRequest) as refused:
        bench.estimate_commands.create_plan(request)
    assert refused.value.field == field
    assert bench.estimate_queries.list_plans().items == []


def test_a_plan_is_no_run_and_a_run_no_plan(bench: Workbench, run_config: MakeConfig) -> None:
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=run_config()))
    with pytest.raises(InvalidRequest, match="is a plan, not a run"):
        bench.study_commands.create_search(SearchRequest(run_id=plan.id, generation=0))
    run = bench.commands.create_run(run_config())
    with pytest.raises(NotFound):
        bench.estimate_queries.get_plan(run.id)
