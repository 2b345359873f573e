"""Runs whose labels are the mean of several teachers: what is refused, and what the stages and the lineage are told."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from service.config.run import EstimateRequest, RunConfig
from service.errors import InvalidRequest
from service.store.schema.tables import DatasetRow
from service.store.visibility import only_projects
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.labeling import LabelingModel
from workers.specs.model_card import place_of_model
from workers.specs.stages import LabelSpec, TrainSpec

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def train(bench: Workbench, config: RunConfig) -> str:
    """Lets the run succeed, with the files that its models have, and returns its id."""
    run_id: str = bench.commands.create_run(config).id
    bench.play_to_the_end(bench.reconciler())
    for generation in bench.queries.get_run(run_id).generation_details:
        assert generation.model is not None
        for name in ("model.json", "model.safetensors"):
            (Path(generation.model.uri) / name).write_text("{}")
    return run_id


@pytest.fixture
def finished(bench: Workbench, run_config: MakeConfig) -> str:
    return train(bench, run_config())


def with_teachers(run_config: MakeConfig, *teachers: str, **changes: Any) -> RunConfig:
    return run_config(**{"labeling": {"further_teachers": list(teachers)}, **changes})


@on_sqlite
def test_every_label_stage_is_told_the_further_teachers_and_the_student_says_who_taught_it(
    bench: Workbench, run_config: MakeConfig, finished: str
) -> None:
    named = (f"{finished}-g1", f"{finished}-g0")
    run_id = train(bench, with_teachers(run_config, *named, generations=2))

    for generation in (1, 2):
        labeled = bench.ray.spec_of(f"{run_id}-g{generation}-label-a1")
        assert isinstance(labeled, LabelSpec)
        root = f"{bench.settings.artifact_root}/runs"
        assert labeled.model_uri == f"{root}/{run_id}/gen-{generation - 1}/train"
        assert labeled.further_teachers == tuple(
            LabelingModel(model_id=name, uri=f"{root}/{finished}/gen-{number}/train")
            for name, number in zip(named, (1, 0), strict=True)
        )
        trained = bench.ray.spec_of(f"{run_id}-g{generation}-train-a1")
        assert isinstance(trained, TrainSpec)
        assert trained.pseudo_labels is not None
        assert trained.pseudo_labels.teachers == (f"{run_id}-g{generation - 1}", *named)
    alone = bench.ray.spec_of(f"{finished}-g1-label-a1")
    assert isinstance(alone, LabelSpec)
    assert alone.further_teachers == ()


@on_sqlite
def test_lineage_names_them_also_for_a_caller_who_may_not_see_them(
    bench: Workbench, run_config: MakeConfig, finished: str
) -> None:
    named = f"{finished}-g1"
    run_id = train(bench, with_teachers(run_config, named, project="pets", evaluation={"reference": named}))
    with bench.database.write() as session:
        session.execute(update(DatasetRow).values(project="pets"))
    for projects in (None, frozenset({"pets"})):
        with only_projects(projects):
            lineage = bench.services.lineage.model_lineage(f"{run_id}-g1")
        assert lineage.further_teachers == (named,)
        assert lineage.teacher is not None
        assert lineage.teacher.further_teachers == ()
        assert lineage.run_config.labeling.further_teachers == (named,)


def refusal(bench: Workbench, config: RunConfig) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(config)
    return caught.value


@on_sqlite
def test_a_model_that_is_not_there_is_refused(bench: Workbench, run_config: MakeConfig, finished: str) -> None:
    for unknown in ("run-0-g0", "resnet18", f"{finished}-g9"):
        error = refusal(bench, with_teachers(run_config, f"{finished}-g0", unknown))
        assert error.field == "labeling.further_teachers.1"
        assert error.message == f"there is no model {unknown!r}: GET /models lists them"


@on_sqlite
def test_a_model_that_is_not_trained_yet_is_refused(bench: Workbench, run_config: MakeConfig) -> None:
    run_id = bench.commands.create_run(run_config()).id
    error = refusal(bench, with_teachers(run_config, f"{run_id}-g1"))
    assert error.field == "labeling.further_teachers.0"
    assert "has not been trained, its generation is pending" in error.message


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@on_sqlite
def test_a_model_whose_files_are_gone_is_refused(
    bench: Workbench, run_config: MakeConfig, finished: str, name: str
) -> None:
    folder = Path(bench.settings.artifact_root) / "runs" / finished / "gen-1" / "train"
    (folder / name).unlink()
    error = refusal(bench, with_teachers(run_config, f"{finished}-g1"))
    assert error.field == "labeling.further_teachers.0"
    assert error.message.startswith(f"{finished}-g1 has lost its {name}")


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("cat", "emu"), "it lacks 'dog' and has also 'emu'"),
        (("cat", "dog", "emu"), "it has also 'emu'"),
        (("dog", "cat"), "it has them in another order"),
    ],
)
@on_sqlite
def test_a_model_of_other_classes_or_in_another_order_is_refused(
    bench: Workbench, run_config: MakeConfig, classes: tuple[str, ...], difference: str
) -> None:
    for part in ("labeled", "validation", "test"):
        role = "labeled" if part == "labeled" else "evaluation"
        bench.add_dataset(f"zoo-{part}", role, classes=classes)  # type: ignore[arg-type]
    zoo = {part: f"zoo-{part}" for part in ("labeled", "validation", "test")} | {"unlabeled": "ds-unlabeled"}
    other = train(bench, run_config(datasets=zoo))
    error = refusal(bench, with_teachers(run_config, f"{other}-g1"))
    assert error.field == "labeling.further_teachers.0"
    assert error.message.startswith(f"the classes of {other}-g1 are not those of 'the ds-labeled' (ds-labeled)")
    assert difference in error.message


def test_a_model_named_twice_and_too_many_are_refused(run_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="'run-1-g1' is named twice") as refused:
        with_teachers(run_config, "run-1-g1", "run-2-g1", "run-1-g1")
    [error] = refused.value.errors()
    assert (*error["loc"], error["ctx"]["field"]) == ("labeling", "further_teachers.2")
    with pytest.raises(ValidationError, match="at most 15 items"):
        with_teachers(run_config, *(f"run-{number}-g0" for number in range(16)))


@pytest.mark.parametrize(("part", "seen"), [("labeled", "test"), ("labeled", "validation"), ("unlabeled", "test")])
@on_sqlite
def test_a_model_that_learned_from_evaluation_images_is_refused(
    bench: Workbench, run_config: MakeConfig, part: str, seen: str
) -> None:
    hashes = [b"a picture of both", b"another picture.", b"and still another"]
    shared = [each[:16].ljust(16, b"-") for each in hashes]
    own = {"labeled": "ds-labeled", "unlabeled": "ds-unlabeled", "validation": "ds-validation", "test": "ds-test"}
    bench.add_dataset("ds-seen", "evaluation", hashes=shared)
    bench.add_dataset("ds-learned", part, hashes=shared[1:])  # type: ignore[arg-type]
    other = train(bench, run_config(datasets={**own, part: "ds-learned"}))
    config = with_teachers(run_config, f"{other}-g1", datasets={**own, seen: "ds-seen"})

    error = refusal(bench, config)

    assert error.field == "labeling.further_teachers.0"
    assert "learned from 'the ds-learned' (ds-learned), which shares 2 image(s) with 'the ds-seen'" in error.message
    if part == "unlabeled":  # a first teacher has seen no unlabeled image
        bench.commands.create_run(with_teachers(run_config, f"{other}-g0", datasets={**own, seen: "ds-seen"}))


@pytest.mark.parametrize("teacher", ["g0", "g1"])
@on_sqlite
def test_views_that_one_of_the_teachers_would_gain_nothing_from_are_refused(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    plain = {"horizontal_flip": False}
    other = train(bench, run_config(teacher_recipe={**plain, "unlabeled_ratio": 0}, student_recipe=plain))
    labeling = {"further_teachers": [f"{other}-{teacher}"], "views": {"flip": True}}
    error = refusal(bench, run_config(labeling=labeling))
    assert error.field == "labeling.views.flip"
    assert f"the recipe of {other}-{teacher} has horizontal_flip false" in error.message


@on_sqlite
def test_a_plan_refuses_what_a_run_does_and_measures_with_the_same_teachers(
    bench: Workbench, run_config: MakeConfig, finished: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bench.estimate_commands.create_plan(EstimateRequest(run=with_teachers(run_config, "run-0-g0")))
    assert refused.value.field == "run.labeling.further_teachers.0"
    plan = bench.estimate_commands.create_plan(EstimateRequest(run=with_teachers(run_config, f"{finished}-g1")))
    bench.reconciler().tick()
    spec = bench.ray.spec_of(f"{plan.id}-g0-measure-a1")
    assert [each.model_id for each in spec.further_teachers] == [f"{finished}-g1"]


def test_the_id_of_a_model_names_its_run_and_generation() -> None:
    assert place_of_model("run-3f9c2a71d0-g12") == ("run-3f9c2a71d0", 12)
    assert [place_of_model(name) for name in ("resnet18", "run-1", "-g1", "run-g", f"run-g{'9' * 30}")] == [None] * 5
