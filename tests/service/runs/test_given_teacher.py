"""Runs whose first teacher is a model that there is already: what their stages are told, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.config.run import EstimateRequest, GenerationOverrides, RunConfig
from service.config.studies import AblationRequest, SearchRequest
from service.errors import InvalidRequest
from service.lifecycle.states import RunState
from service.store.schema.tables import ModelRow
from service.store.visibility import only_projects
from service.views.runs import GenerationView
from tests.support.workbench import MakeConfig, Workbench, submitted
from workers.specs.stages import AblateSpec, EvaluateSpec, LabelSpec, MeasureSpec, TrainSpec

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def train(bench: Workbench, config: RunConfig) -> str:
    """Lets the run succeed, with the files that its models have, and returns its id."""
    run_id: str = bench.commands.create_run(config).id
    bench.play_to_the_end(bench.reconciler())
    for generation in bench.queries.get_run(run_id).generation_details:
        assert generation.model is not None
        for name in ("model.json", "model.safetensors"):
            (Path(generation.model.uri) / name).write_text("{}")
    bench.ray.submits.clear()
    return run_id


@pytest.fixture
def teacher(bench: Workbench, run_config: MakeConfig) -> str:
    """The id of a trained model, a "large"."""
    return f"{train(bench, run_config())}-g1"


def taught_by(run_config: MakeConfig, model_id: str, **changes: Any) -> RunConfig:
    return run_config(**{"teacher": {"model": model_id}, "teacher_model": None, **changes})


def generations(bench: Workbench, run_id: str) -> list[GenerationView]:
    return bench.queries.get_run(run_id).generation_details


def test_generation_0_only_evaluates_the_given_teacher(bench: Workbench, run_config: MakeConfig, teacher: str) -> None:
    run_id = bench.commands.create_run(taught_by(run_config, teacher)).id
    bench.play_to_the_end(bench.reconciler())

    assert submitted(bench, run_id) == [f"{stage}-a1" for stage in (
        "g0-evaluate", "g1-label", "g1-select", "g1-train", "g1-evaluate"
    )]  # fmt: skip
    uri = bench.queries.get_model(teacher).uri
    evaluated = bench.ray.spec_of(f"{run_id}-g0-evaluate-a1")
    assert isinstance(evaluated, EvaluateSpec)
    assert (evaluated.model_uri, evaluated.reference) == (uri, None)
    assert evaluated.validation_manifest_uri is not None
    labeled = bench.ray.spec_of(f"{run_id}-g1-label-a1")
    assert isinstance(labeled, LabelSpec)
    assert labeled.model_uri == uri
    trained = bench.ray.spec_of(f"{run_id}-g1-train-a1")
    assert isinstance(trained, TrainSpec)
    assert trained.pseudo_labels is not None
    assert trained.pseudo_labels.teachers == (teacher,)
    student = bench.ray.spec_of(f"{run_id}-g1-evaluate-a1")
    assert isinstance(student, EvaluateSpec)
    assert student.reference is not None
    assert (student.reference.model_id, student.reference.result_uri.split("/")[-3]) == (teacher, "gen-0")


def test_the_first_training_compares_the_labeled_images_though_it_is_the_students(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = bench.commands.create_run(taught_by(run_config, teacher, generations=2)).id
    bench.play_to_the_end(bench.reconciler())
    first, second = (bench.ray.spec_of(f"{run_id}-g{number}-train-a1") for number in (1, 2))
    assert isinstance(first, TrainSpec)
    assert isinstance(second, TrainSpec)
    assert first.labeled_images is not None
    assert len(first.evaluation_images) == 2
    assert second.labeled_images is None


def test_the_run_shows_the_teacher_with_what_it_measured_itself(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = bench.commands.create_run(taught_by(run_config, teacher)).id
    [first, _] = generations(bench, run_id)
    assert first.model is not None
    assert (first.model.id, first.model.test_top1, first.model.validation_top1) == (teacher, None, None)
    bench.play_to_the_end(bench.reconciler())
    [first, student] = generations(bench, run_id)
    assert first.plan is not None
    assert (first.plan.model, first.plan.given) == ("large", teacher)
    assert first.model is not None
    result = {stage.name: stage.result for stage in first.stages}["evaluate"]
    assert result is not None
    assert first.model.test_top1 == result["metrics"]["top1"]
    assert first.model.validation_top1 == result["validation"]["metrics"]["top1"]
    assert student.model is not None
    assert student.model.id == f"{run_id}-g1"
    assert [each.id for each in bench.queries.list_models(run_id=run_id).items] == [f"{run_id}-g1"]


def test_the_gate_compares_the_student_with_the_given_teacher(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = bench.commands.create_run(
        taught_by(run_config, teacher, gate={"conditions": ["top1 > previous + 0.2"]})
    ).id
    bench.play_to_the_end(bench.reconciler())
    [_, student] = generations(bench, run_id)
    assert student.promoted is False
    assert student.gate_reason is not None
    assert "top1" in student.gate_reason
    assert bench.queries.get_run(run_id).state == RunState.GATED


def test_lineage_leads_to_the_run_that_trained_the_teacher(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = train(bench, taught_by(run_config, teacher))
    lineage = bench.services.lineage.model_lineage(f"{run_id}-g1")
    assert [each.model_id for each in lineage.line()] == [f"{run_id}-g1", teacher, teacher.replace("-g1", "-g0")]
    assert lineage.teacher_id == teacher
    assert lineage.teacher is not None
    assert [stage.name for stage in lineage.teacher.stages] == ["label", "select", "train", "evaluate"]

    assert lineage.run_config is not None
    again = bench.commands.create_run(lineage.run_config)
    assert again.config is not None
    assert again.config.teacher == lineage.run_config.teacher


def test_a_caller_who_may_not_see_the_teacher_learns_its_id_alone(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = train(bench, taught_by(run_config, teacher))
    with bench.database.write() as session:
        session.execute(update(ModelRow).where(ModelRow.id == teacher).values(project="pets"))
    with only_projects(frozenset({"default"})):
        lineage = bench.services.lineage.model_lineage(f"{run_id}-g1")
        [first, _] = generations(bench, run_id)
    assert (lineage.teacher_id, lineage.teacher, first.model) == (teacher, None, None)


def test_another_generation_is_taught_by_the_student(bench: Workbench, run_config: MakeConfig, teacher: str) -> None:
    run_id = train(bench, taught_by(run_config, teacher))
    bench.commands.add_generation(run_id, GenerationOverrides())
    bench.play_to_the_end(bench.reconciler())
    labeled = bench.ray.spec_of(f"{run_id}-g2-label-a1")
    assert isinstance(labeled, LabelSpec)
    assert labeled.model_uri.endswith(f"{run_id}/gen-1/train")


def test_a_run_without_students_evaluates_the_teacher_and_takes_students_later(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    config = taught_by(run_config, teacher, generations=0, student_models=[])
    run_id = bench.commands.create_run(config).id
    bench.play_to_the_end(bench.reconciler())
    assert submitted(bench, run_id) == ["g0-evaluate-a1"]
    bench.commands.add_generation(run_id, GenerationOverrides())
    bench.play_to_the_end(bench.reconciler())
    assert f"{run_id}-g1" in {each.id for each in bench.queries.list_models(run_id=run_id).items}


def test_a_student_may_begin_with_the_weights_of_the_given_teacher(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    recipe = {"init": {"kind": "teacher"}}
    run_id = bench.commands.create_run(taught_by(run_config, teacher, student_recipe=recipe)).id
    bench.play_to_the_end(bench.reconciler())
    trained = bench.ray.spec_of(f"{run_id}-g1-train-a1")
    assert isinstance(trained, TrainSpec)
    assert trained.initial_model_uri == bench.queries.get_model(teacher).uri


def test_an_ablation_is_compared_with_the_accuracy_on_the_runs_own_images(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    run_id = train(bench, taught_by(run_config, teacher))
    bench.study_commands.create_ablation(run_id, AblationRequest())
    bench.play(bench.reconciler(), until=lambda job: "ablate" in job)
    [job] = [body["submission_id"] for body in bench.ray.submits]
    spec = bench.ray.spec_of(job)
    assert isinstance(spec, AblateSpec)
    [first, _] = generations(bench, run_id)
    assert first.model is not None
    assert first.model.validation_top1 is not None
    assert spec.teacher_error == 1 - first.model.validation_top1
    assert spec.teacher_uri == first.model.uri


def test_a_plan_bills_no_training_of_the_teacher(bench: Workbench, run_config: MakeConfig, teacher: str) -> None:
    request = EstimateRequest(run=taught_by(run_config, teacher))
    plan_id = bench.estimate_commands.create_plan(request).id
    bench.play_to_the_end(bench.reconciler())
    measured = bench.ray.spec_of(f"{plan_id}-g0-measure-a1")
    assert isinstance(measured, MeasureSpec)
    # The teacher is measured with its own weights, at the size that they are for.
    assert measured.students[0].initial_model_uri == bench.queries.get_model(teacher).uri
    bill = bench.estimate_queries.get_plan(plan_id).bill
    assert bill is not None
    assert [(line.generation, line.stage) for line in bill.as_configured.stages] == [
        (0, "evaluate"), (1, "label"), (1, "select"), (1, "train"), (1, "evaluate")
    ]  # fmt: skip


def refused(bench: Workbench, config: RunConfig) -> str:
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(config)
    return f"{caught.value.field}: {caught.value.message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_model": "small"}, "teacher_model: is what generation 0 trains"),
        ({"teacher_recipe": {"steps": 5}}, "teacher_recipe: trains generation 0"),
        ({"teacher": None}, "teacher_model: is required"),
        ({"teacher": {"model": "run-none-g0"}}, "teacher.model: there is no model"),
        ({"student_models": ["small"]}, "student_models.0: the student small"),
        ({"labeling": {"views": {"flip": True}}, "teacher": {"model": "UNFLIPPED"}}, "labeling.views.flip"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    bench: Workbench, run_config: MakeConfig, teacher: str, changes: dict[str, Any], message: str
) -> None:
    if "UNFLIPPED" in str(changes):
        unflipped = {"horizontal_flip": False}
        changes = {**changes, "teacher": {"model": train(bench, run_config(teacher_recipe=unflipped)) + "-g0"}}
    assert refused(bench, taught_by(run_config, teacher, **changes)).startswith(message)


def test_a_model_that_is_still_to_be_trained_cannot_teach(bench: Workbench, run_config: MakeConfig) -> None:
    run_id = bench.commands.create_run(run_config()).id
    config = taught_by(run_config, f"{run_id}-g0")
    assert refused(bench, config).startswith(f"teacher.model: {run_id}-g0 has not been trained")


def test_a_model_of_other_classes_or_of_another_order_cannot_teach(
    bench: Workbench, run_config: MakeConfig, teacher: str
) -> None:
    for name, role in (("labeled", "labeled"), ("validation", "evaluation"), ("test", "evaluation")):
        bench.add_dataset(f"turned-{name}", role, classes=("dog", "cat"), hashes=[])  # type: ignore[arg-type]
    turned = {part: f"turned-{part}" for part in ("labeled", "validation", "test")}
    config = taught_by(run_config, teacher, datasets={**turned, "unlabeled": "ds-unlabeled"})
    message = refused(bench, config)
    assert message.startswith("teacher.model: the classes of")
    assert "in another order" in message


def test_a_model_of_another_project_is_not_found(bench: Workbench, run_config: MakeConfig, teacher: str) -> None:
    config = taught_by(run_config, teacher, project="pets")
    with only_projects(frozenset({"pets"})):
        assert refused(bench, config).startswith("teacher.model: there is no model")


def test_a_given_teacher_is_not_searched_for(bench: Workbench, run_config: MakeConfig, teacher: str) -> None:
    run_id = train(bench, taught_by(run_config, teacher))
    with pytest.raises(InvalidRequest, match="is given"):
        bench.study_commands.create_search(SearchRequest(run_id=run_id, generation=0))
