"""Generations on newer versions of the pool: which labels their label stages may take over, and what is refused."""

from typing import Any

import pytest
from sqlalchemy import update

from service.config.run import EstimateRequest, GenerationOverrides
from service.errors import InvalidRequest
from service.store.schema.tables import CollectionRow, DatasetRow, RunRow
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.stages import LabelSpec, TrainSpec

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def grow(bench: Workbench, before: str, dataset_id: str, rows: int = 12, **fields: Any) -> None:
    """Records a version of a dataset, whose files need not exist."""
    bench.add_dataset(dataset_id, "unlabeled", rows=rows, **fields)
    with bench.database.write() as session:
        former = session.get_one(DatasetRow, before)
        session.execute(
            update(DatasetRow)
            .where(DatasetRow.id == dataset_id)
            .values(version=former.version + 1, previous=before, first=former.first or before, shards=2)
        )


def finished(bench: Workbench, config: Any) -> str:
    run_id: str = bench.commands.create_run(config).id
    bench.play_to_the_end(bench.reconciler())
    return run_id


def label_spec(bench: Workbench, run_id: str, generation: int) -> LabelSpec:
    spec = bench.ray.spec_of(f"{run_id}-g{generation}-label-a1")
    assert isinstance(spec, LabelSpec)
    return spec


def taken_over(spec: LabelSpec) -> list[tuple[str, int, str]]:
    """The label stages whose files a label stage may take over, each with the dataset that it labeled."""
    return [(each.run_id, each.generation, each.manifest_uri.split("/")[-2]) for each in spec.reusable_labels]


def test_a_generation_on_a_newer_version_may_take_over_what_its_teacher_has_labeled(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run_id = finished(bench, run_config())
    pool = label_spec(bench, run_id, 1).manifest_uri.split("/")[-2]
    assert taken_over(label_spec(bench, run_id, 1)) == []
    grow(bench, pool, "pool-2")
    bench.commands.add_generation(run_id, GenerationOverrides(unlabeled="pool-2", teacher=0))
    bench.play_to_the_end(bench.reconciler())
    second = label_spec(bench, run_id, 2)
    assert second.manifest_uri.split("/")[-2] == "pool-2"
    assert second.model_uri == label_spec(bench, run_id, 1).model_uri
    assert taken_over(second) == [(run_id, 1, pool)]
    assert second.reusable_labels[0].labels_uri == label_spec(bench, run_id, 1).folder_uri
    trained = bench.ray.spec_of(f"{run_id}-g2-train-a1")
    assert isinstance(trained, TrainSpec)
    assert trained.pseudo_labels is not None
    assert trained.pseudo_labels.manifest_uri == second.manifest_uri
    assert trained.pseudo_labels.teachers == (f"{run_id}-g0",)

    bench.commands.add_generation(run_id, GenerationOverrides(unlabeled="pool-2"))
    bench.play_to_the_end(bench.reconciler())
    assert taken_over(label_spec(bench, run_id, 3)) == [], "its teacher is another"


def test_the_run_goes_on_with_its_own_pool_where_none_is_named(bench: Workbench, run_config: MakeConfig) -> None:
    run_id = finished(bench, run_config())
    first = label_spec(bench, run_id, 1)
    grow(bench, first.manifest_uri.split("/")[-2], "pool-2")
    bench.commands.add_generation(run_id, GenerationOverrides())
    bench.play_to_the_end(bench.reconciler())
    assert label_spec(bench, run_id, 2).manifest_uri == first.manifest_uri


def given(run_config: MakeConfig, run_id: str, **changes: Any) -> Any:
    """The body of a run whose first teacher is the model of another run's generation 0."""
    return run_config(**{"teacher": {"model": f"{run_id}-g0"}, "teacher_model": None, **changes})


@pytest.fixture
def with_models(bench: Workbench, run_config: MakeConfig) -> str:
    """A run that has succeeded, with files where its models are."""
    from pathlib import Path

    run_id = finished(bench, run_config())
    for generation in bench.queries.get_run(run_id).generation_details:
        assert generation.model is not None
        for name in ("model.json", "model.safetensors"):
            (Path(generation.model.uri) / name).write_text("{}")
    return run_id


def test_another_run_takes_labels_over_unless_retention_or_a_project_is_between(
    bench: Workbench, run_config: MakeConfig, with_models: str
) -> None:
    source = with_models
    pool = label_spec(bench, source, 1).manifest_uri.split("/")[-2]
    grow(bench, pool, "pool-2")
    datasets = {**run_config().datasets.model_dump(), "unlabeled": "pool-2"}
    first = finished(bench, given(run_config, source, datasets=datasets))
    assert taken_over(label_spec(bench, first, 1)) == [(source, 1, pool)]
    second = finished(bench, given(run_config, source, datasets=datasets))
    assert taken_over(label_spec(bench, second, 1)) == [(first, 1, "pool-2"), (source, 1, pool)]
    with bench.database.write() as session:
        session.add(
            CollectionRow(run_id=first, generation=1, stage="label", artifact="labels", keep_last=0, marked_at=1.0)
        )
        session.execute(update(RunRow).where(RunRow.id == second).values(project="cats"))
    third = finished(bench, given(run_config, source, datasets=datasets))
    assert taken_over(label_spec(bench, third, 1)) == [(source, 1, pool)]


def test_an_older_version_takes_over_what_was_labeled_of_a_newer_one(
    bench: Workbench, run_config: MakeConfig, with_models: str
) -> None:
    pool = label_spec(bench, with_models, 1).manifest_uri.split("/")[-2]
    grow(bench, pool, "pool-2")
    grow(bench, "pool-2", "pool-3")
    datasets = {**run_config().datasets.model_dump(), "unlabeled": "pool-3"}
    newer = finished(bench, given(run_config, with_models, datasets=datasets))
    datasets["unlabeled"] = "pool-2"
    older = finished(bench, given(run_config, with_models, datasets=datasets))
    assert taken_over(label_spec(bench, older, 1))[0] == (newer, 1, "pool-3")


@pytest.mark.parametrize(
    ("overrides", "field", "message"),
    [
        ({"unlabeled": "nothing"}, "unlabeled", "there is no dataset 'nothing'"),
        ({"unlabeled": "ds-labeled"}, "unlabeled", "has the role labeled, not unlabeled"),
        ({"unlabeled": "leaky"}, "unlabeled", "shares 1 image"),
        ({"teacher": 2}, "teacher", "there is no generation 2: the last is 1"),
    ],
)
def test_a_pool_or_a_teacher_that_cannot_serve_is_refused(
    bench: Workbench, run_config: MakeConfig, overrides: dict[str, Any], field: str, message: str
) -> None:
    run_id = finished(bench, run_config())
    datasets = bench.queries.get_run(run_id).config.datasets
    bench.add_dataset("leaky", "unlabeled", [datasets.test.encode().ljust(16, b"-")])
    overrides = {name: datasets.labeled if value == "ds-labeled" else value for name, value in overrides.items()}
    with pytest.raises(InvalidRequest, match=message) as caught:
        bench.commands.add_generation(run_id, GenerationOverrides.model_validate(overrides))
    assert caught.value.field == field


def test_lineage_names_the_pool_and_the_teacher_of_each_generation_and_repeats_them(
    bench: Workbench, run_config: MakeConfig, with_models: str
) -> None:
    run_id = with_models
    pool = label_spec(bench, run_id, 1).manifest_uri.split("/")[-2]
    grow(bench, pool, "pool-2")
    bench.commands.add_generation(run_id, GenerationOverrides(unlabeled="pool-2", teacher=0))
    bench.play_to_the_end(bench.reconciler())
    lineage = bench.services.lineage.model_lineage(f"{run_id}-g2")
    assert {each.part: each.id for each in lineage.datasets}["unlabeled.2"] == "pool-2"
    assert lineage.teacher_id == f"{run_id}-g0"
    again = finished(bench, lineage.run_config)
    assert label_spec(bench, again, 2).manifest_uri.split("/")[-2] == "pool-2"
    assert label_spec(bench, again, 2).model_uri == label_spec(bench, again, 1).model_uri


def test_the_bill_counts_only_what_the_given_teacher_has_not_labeled(
    bench: Workbench, run_config: MakeConfig, with_models: str
) -> None:
    pool = label_spec(bench, with_models, 1).manifest_uri.split("/")[-2]
    grow(bench, pool, "pool-2", rows=12)
    datasets = {**run_config().datasets.model_dump(), "unlabeled": "pool-2"}
    config = given(
        run_config,
        with_models,
        datasets=datasets,
        generations=2,
        generation_overrides={"2": {"teacher": 0}},
    )
    plan_id = bench.estimate_commands.create_plan(EstimateRequest(run=config)).id
    bench.play_to_the_end(bench.reconciler())
    bill = bench.estimate_queries.get_plan(plan_id).bill
    assert bill is not None
    images = {(line.generation, line.stage): line.images for line in bill.as_configured.stages}
    assert images[(1, "label")] == 2
    assert images[(2, "label")] == 0
    assert images[(1, "select")] == 12
    assert any("10 of generation 1, 12 of generation 2" in each for each in bill.assumptions)
