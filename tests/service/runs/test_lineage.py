"""Lineage leads from a model back to its origin, and forward to the same run again."""

from typing import Any

import pytest
from sqlalchemy import event, update

from service.config.run import GenerationOverrides, RunConfig
from service.errors import InvalidRequest, NotFound
from service.runs.lineage import LineageQueries
from service.store.run_store import load_plans
from service.store.schema.tables import DatasetRow
from service.store.visibility import only_projects
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.labeling import Views
from workers.specs.selection import SelectionSettings


@pytest.fixture
def lineage(bench: Workbench) -> LineageQueries:
    return bench.services.lineage


def plans(bench: Workbench, run_id: str) -> Any:
    with bench.database.read() as session:
        return load_plans(session, run_id)


def test_it_leads_to_generation_0(bench: Workbench, run_config: MakeConfig, lineage: LineageQueries) -> None:
    run_id = bench.commands.create_run(run_config(generations=2, labeling={"views": {"flip": True}})).id
    bench.play_to_the_end(bench.reconciler())

    found = lineage.model_lineage(f"{run_id}-g2")

    teacher = found.teacher
    assert teacher is not None
    assert teacher.teacher is not None
    assert [found.model_id, teacher.model_id, teacher.teacher.model_id] == [f"{run_id}-g{g}" for g in (2, 1, 0)]
    assert teacher.teacher.teacher is None
    assert teacher.teacher.labels_uri is None
    assert (found.views, teacher.views, teacher.teacher.views) == (Views(flip=True), Views(flip=True), None)
    assert found.run_config.labeling.views == Views(flip=True)
    assert found.labels_uri == f"{bench.settings.artifact_root}/runs/{run_id}/gen-2/label"
    assert [stage.name for stage in found.stages] == ["label", "select", "train", "evaluate"]
    assert {each.part: (each.id, each.digest) for each in found.datasets} == {
        part: (f"ds-{part}", f"digest of ds-{part}") for part in ("labeled", "unlabeled", "validation", "test")
    }


def test_a_longer_line_of_teachers_takes_no_more_queries(
    bench: Workbench, run_config: MakeConfig, lineage: LineageQueries
) -> None:
    run_id = bench.commands.create_run(run_config(generations=3)).id
    bench.play_to_the_end(bench.reconciler())
    queries: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        queries.append(statement)

    event.listen(bench.database.engine, "before_cursor_execute", note)
    counts = []
    for generation in (1, 3):
        queries.clear()
        lineage.model_lineage(f"{run_id}-g{generation}")
        counts.append(len(queries))
    event.remove(bench.database.engine, "before_cursor_execute", note)

    assert counts[0] == counts[1]


def test_it_passes_over_a_student_that_the_gate_refused(
    bench: Workbench, run_config: MakeConfig, lineage: LineageQueries
) -> None:
    gate = {"conditions": ["top1 >= 0.65"], "on_failure": "go_on"}  # the stand-in's accuracies are 0.5, 0.6, 0.7
    run_id = bench.commands.create_run(run_config(generations=2, gate=gate)).id
    bench.play_to_the_end(bench.reconciler())

    found = lineage.model_lineage(f"{run_id}-g2")

    assert found.teacher is not None
    assert found.teacher.model_id == f"{run_id}-g0"
    assert (found.gate_on, found.teacher.gate_on) == ("validation", "validation")


def test_the_run_posted_again_from_it_has_the_same_plans(
    bench: Workbench, run_config: MakeConfig, lineage: LineageQueries
) -> None:
    """This holds although its generations differ: one had a search, one had settings of its own."""
    run_id = bench.commands.create_run(run_config(generations=1, search={"trials": 2})).id
    reconciler = bench.reconciler()
    bench.play_to_the_end(reconciler)
    selection = SelectionSettings(min_confidence=0.7)
    bench.commands.add_generation(run_id, GenerationOverrides(selection=selection, seed=77))
    bench.play_to_the_end(reconciler)
    found = lineage.model_lineage(f"{run_id}-g2")
    assert found.teacher is not None

    again = bench.commands.create_run(RunConfig.model_validate_json(found.run_config.model_dump_json())).id

    before, after = plans(bench, run_id), plans(bench, again)
    assert {number: (plan.seed, plan.selection) for number, plan in before.items()} == {
        number: (plan.seed, plan.selection) for number, plan in after.items()
    }
    assert after[2].seed == 77
    assert [after[number].recipe for number in (1, 2)] == [found.teacher.recipe, found.recipe]
    assert after[1].recipe.unlabeled_ratio == 7, "what the search found"
    assert all(plan.search is None for plan in after.values())


def test_overrides_are_checked_like_the_rest_of_a_run(bench: Workbench, run_config: MakeConfig) -> None:
    recipe = {"noise": {"drop_path": 0.2, "dropout": 0.1}}
    for overrides, field in (
        ({"1": {"student_model": "unheard_of"}}, "generation_overrides.1.student_model"),
        ({"1": {"student_model": "plain", "recipe": recipe}}, "generation_overrides.1.recipe.noise.drop_path"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            bench.commands.create_run(run_config(generation_overrides=overrides))
        assert refused.value.field == field
    with pytest.raises(ValueError, match="there is no student 2"):
        run_config(generation_overrides={"2": {}})


def test_datasets_of_projects_that_a_caller_may_not_see_are_left_out(
    bench: Workbench, run_config: MakeConfig, lineage: LineageQueries
) -> None:
    run_id = bench.commands.create_run(run_config(project="pets")).id
    bench.play_to_the_end(bench.reconciler())
    with only_projects(frozenset({"pets"})), pytest.raises(NotFound, match="there is no dataset 'ds-labeled'"):
        lineage.model_lineage(f"{run_id}-g1")
    with bench.database.write() as session:
        session.execute(update(DatasetRow).where(DatasetRow.id != "ds-test").values(project="pets"))
    with only_projects(frozenset({"pets"})):
        found = lineage.model_lineage(f"{run_id}-g1")
    assert [each.part for each in found.datasets] == ["labeled", "unlabeled", "validation"]


def test_an_unknown_model_has_none(bench: Workbench, lineage: LineageQueries) -> None:
    with pytest.raises(NotFound):
        lineage.model_lineage("run-0-g0")
