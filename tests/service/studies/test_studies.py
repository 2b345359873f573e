"""Searches and ablations, a run's own search, and its gate, on both kinds of database."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.config.run import GenerationOverrides, RunConfig
from service.config.stage_key import StageKey
from service.config.studies import AblationRequest, SearchRequest
from service.errors import Conflict, InvalidRequest, NotFound
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import write_bytes
from workers.specs.ablation import AblationSettings
from workers.specs.search import HEAT_MAP_FILE, IntRange, SearchSettings, SearchSpace
from workers.specs.stages import AblateSpec, EvaluateSpec, LabelSpec, SearchSpec, TrainSpec


@pytest.fixture
def finished_run(bench: Workbench, run_config: MakeConfig) -> str:
    run_id: str = bench.commands.create_run(run_config()).id
    bench.play_to_the_end(bench.reconciler())
    assert bench.queries.get_run(run_id).state == "succeeded"
    return run_id


def stages(bench: Workbench, run_id: str) -> list[str]:
    run = bench.queries.get_run(run_id)
    return [f"g{s.generation}-{s.name}" for generation in run.generation_details for s in generation.stages]


def test_the_winner_of_a_runs_search_becomes_the_generations_student(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config(search={"trials": 4}))
    bench.play_to_the_end(bench.reconciler())

    assert stages(bench, run.id) == [
        "g0-train",
        "g0-evaluate",
        "g1-label",
        "g1-select",
        "g1-search",
        "g1-train",
        "g1-evaluate",
    ]
    searched = bench.ray.spec_of(f"{run.id}-g1-search-a1")
    assert isinstance(searched, SearchSpec)
    assert searched.base.pseudo_labels is not None
    trained = bench.ray.spec_of(f"{run.id}-g1-train-a1")
    assert isinstance(trained, TrainSpec)
    assert trained.recipe.unlabeled_ratio == 7
    assert bench.queries.get_run(run.id).generation_details[1].model.model == "large"


def test_a_search_beside_a_run_uses_its_labels_and_leaves_it_alone(bench: Workbench, finished_run: str) -> None:
    before = bench.queries.get_run(finished_run)
    search = bench.study_commands.create_search(SearchRequest(run_id=finished_run, generation=1))
    assert (search.state, search.run_id, search.generation, search.trials) == ("running", finished_run, 1, [])
    bench.play_to_the_end(bench.reconciler())

    spec = bench.ray.spec_of(f"{search.id}-g1-search-a1")
    assert isinstance(spec, SearchSpec)
    assert f"/runs/{finished_run}/gen-1/select" in spec.base.pseudo_labels.selection_uri
    assert f"/runs/{search.id}/gen-1/search" in spec.folder_uri
    found = bench.study_queries.get_search(search.id)
    assert (found.state, found.outcome.best_trial) == ("succeeded", 0)
    assert bench.queries.get_run(finished_run) == before
    assert [each.id for each in bench.queries.list_runs().items] == [finished_run]
    assert [each.id for each in bench.study_queries.list_searches().items] == [search.id]


def test_a_search_can_be_for_a_teacher(bench: Workbench, finished_run: str) -> None:
    search = bench.study_commands.create_search(SearchRequest(run_id=finished_run, generation=0))
    bench.play_to_the_end(bench.reconciler())
    assert bench.ray.spec_of(f"{search.id}-g0-search-a1").base.pseudo_labels is None


def test_a_search_is_a_run_of_one_stage_that_can_be_cancelled_and_retried(bench: Workbench, finished_run: str) -> None:
    search = bench.study_commands.create_search(SearchRequest(run_id=finished_run, generation=1), "key")
    assert bench.study_commands.create_search(SearchRequest(run_id=finished_run, generation=1), "key") == search
    assert stages(bench, search.id) == ["g1-search"]
    assert bench.commands.cancel_run(search.id).state == "cancelling"
    bench.reconciler().tick()
    assert bench.study_queries.get_search(search.id).state == "cancelled"
    assert bench.commands.retry_run(search.id).state == "running"
    bench.play_to_the_end(bench.reconciler())
    assert bench.queries.list_events(search.id).items[0].kind == "run_succeeded"
    with pytest.raises(Conflict, match="is a search: it has no generations"):
        bench.commands.add_generation(search.id, GenerationOverrides())


def test_an_ablation_trains_the_last_student_again_from_the_same_labels(bench: Workbench, finished_run: str) -> None:
    request = AblationRequest(settings=AblationSettings(smaller_student="small", seeds=2))
    ablation = bench.study_commands.create_ablation(finished_run, request)
    bench.play_to_the_end(bench.reconciler())

    spec = bench.ray.spec_of(f"{ablation.id}-g1-ablate-a1")
    assert isinstance(spec, AblateSpec)
    assert (spec.base.model, spec.teacher_model) == ("large", "small")
    # On validation images, unless the request asks for the test images.
    assert spec.judged_manifest_uri.endswith("/ds-validation/manifest.json")
    assert spec.teacher_error == pytest.approx(0.1)
    assert f"/runs/{finished_run}/gen-1/label" in spec.selection.labels_uri
    outcome = bench.study_queries.get_ablation(ablation.id).outcome
    assert (outcome.on, outcome.teacher_error) == ("validation", pytest.approx(0.1))
    assert [each.id for each in bench.study_queries.list_ablations(finished_run).items] == [ablation.id]


def test_an_ablation_on_test_images_is_marked(bench: Workbench, finished_run: str) -> None:
    request = AblationRequest(settings=AblationSettings(on="test"))
    ablation = bench.study_commands.create_ablation(finished_run, request)
    bench.play_to_the_end(bench.reconciler())

    spec = bench.ray.spec_of(f"{ablation.id}-g1-ablate-a1")
    assert isinstance(spec, AblateSpec)
    assert (spec.judged_manifest_uri.split("/")[-2], spec.teacher_error) == ("ds-test", 0.5)
    assert bench.study_queries.get_ablation(ablation.id).outcome.on == "test"


def test_what_is_not_there_is_not_found(bench: Workbench, finished_run: str) -> None:
    for look in (
        lambda: bench.study_queries.get_search(finished_run),
        lambda: bench.study_queries.get_ablation("ablation-1"),
        lambda: bench.study_queries.stage_trials(finished_run, 1),
        lambda: bench.study_queries.list_ablations("run-1"),
        lambda: bench.study_queries.picture(StageKey(finished_run, 1, "train"), HEAT_MAP_FILE),
        lambda: bench.study_queries.picture(StageKey(finished_run, 1, "train"), "result.json"),
        lambda: bench.study_commands.create_search(SearchRequest(run_id="run-1", generation=0)),
        lambda: bench.study_commands.create_ablation("run-1", AblationRequest()),
    ):
        with pytest.raises(NotFound):
            look()


def test_a_picture_is_the_file_that_the_stage_has_drawn(bench: Workbench, finished_run: str) -> None:
    search = bench.study_commands.create_search(SearchRequest(run_id=finished_run, generation=1))
    bench.play_to_the_end(bench.reconciler())
    folder = bench.queries.get_stage(StageKey(search.id, 1, "search")).folder_uri
    write_bytes(f"{folder}/{HEAT_MAP_FILE}", b"<svg/>")
    assert bench.study_queries.picture(StageKey(search.id, 1, "search"), HEAT_MAP_FILE) == b"<svg/>"


def test_impossible_searches_are_refused(bench: Workbench, finished_run: str) -> None:
    def refused(**changes: Any) -> InvalidRequest:
        body = {"run_id": finished_run, "generation": 1, **changes}
        with pytest.raises(InvalidRequest) as refusal:
            bench.study_commands.create_search(SearchRequest.model_validate(body))
        return refusal.value

    def space(**changes: Any) -> dict[str, Any]:
        return {"settings": SearchSettings(space=SearchSpace(**changes))}

    assert refused(generation=9).field == "generation"
    assert refused(model="lage").field == "model"
    assert refused(**space(models=("large", "smal"))).field == "settings.space.models.1"
    assert refused(**space(family="nothing*")).field == "settings.space.family"
    assert refused(**space(models=("large", "plain"))).field == "settings.space.noise.drop_path"
    beyond = refused(**space(rand_augment_m=IntRange(low=0, high=31)))
    assert beyond.field == "settings.space.rand_augment_m"
    assert "scale torchvision, which ends at 30" in str(beyond)


def test_a_search_waits_for_the_labels_it_needs(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())
    with pytest.raises(Conflict, match="are not selected yet"):
        bench.study_commands.create_search(SearchRequest(run_id=run.id, generation=1))
    with pytest.raises(Conflict, match="no generation whose images are selected"):
        bench.study_commands.create_ablation(run.id, AblationRequest())


def gated(run_config: MakeConfig, on_failure: str, condition: str = "top1 >= previous + 0.2") -> RunConfig:
    return run_config(generations=2, gate={"conditions": [condition], "on_failure": on_failure})


def test_a_student_that_fails_the_gate_ends_the_run_which_says_why(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(gated(run_config, "stop"))
    bench.play_to_the_end(bench.reconciler())

    found = bench.queries.get_run(run.id)
    assert found.state == "gated"
    assert found.state_reason == (
        "generation 1 was not promoted: top1 >= previous + 0.2: top1 is 0.6, the teacher's 0.5"
    )
    assert [generation.promoted for generation in found.generation_details] == [None, False, None]
    assert [generation.gate_on for generation in found.generation_details] == [None, "validation", None]
    assert found.generation_details[1].model is not None
    assert not any("-g2-" in body["submission_id"] for body in bench.ray.submits)
    messages = {event.kind: event.message for event in bench.queries.list_events(run.id).items}
    assert messages["not_promoted"].endswith("the teacher's 0.5 (measured on validation images)")


def test_a_gate_judges_on_validation_images_unless_test_images_are_asked_for(
    bench: Workbench, run_config: MakeConfig
) -> None:
    specs, views = {}, {}
    for on in ("validation", "test"):
        gate = {"conditions": ["top1 >= 0.2", "mce <= 200"], "on": on, "on_failure": "go_on"}
        run = bench.commands.create_run(run_config(gate=gate, evaluation={"robustness": {}}))
        bench.play_to_the_end(bench.reconciler())
        views[on] = bench.queries.get_run(run.id)
        specs[on] = [bench.ray.spec_of(f"{run.id}-g1-{stage}-a1") for stage in ("evaluate", "train")]

    for on, (evaluate, train) in specs.items():
        assert isinstance(evaluate, EvaluateSpec)
        assert isinstance(train, TrainSpec)
        assert train.gate_on == on
        assert views[on].generation_details[1].gate_on == on
    evaluate = specs["validation"][0]
    assert evaluate.validation_manifest_uri.endswith("/ds-validation/manifest.json")
    # What the conditions name is measured on validation images, and nothing else.
    assert evaluate.validation_robustness.corruptions == evaluate.robustness.corruptions
    assert evaluate.validation_robustness.stability is None
    assert specs["test"][0].validation_manifest_uri is None
    assert views["test"].warnings[0].startswith("gate.on: the gate chooses teachers by the test images")
    assert not any(warning.startswith("gate") for warning in views["validation"].warnings)


def test_a_gate_on_validation_images_needs_a_reference_that_was_measured_there(run_config: MakeConfig) -> None:
    evaluation = {"robustness": {}, "reference": "run-1-g0"}
    with pytest.raises(ValidationError, match=r"relative to evaluation\.reference.*or set gate\.on to test"):
        run_config(gate={"conditions": ["mce <= 90"]}, evaluation=evaluation)
    assert run_config(gate={"conditions": ["mce <= 90"], "on": "test"}, evaluation=evaluation).gate.on == "test"


def test_a_run_may_go_on_with_the_teacher_it_had(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(gated(run_config, "go_on"))
    bench.play_to_the_end(bench.reconciler())

    found = bench.queries.get_run(run.id)
    assert found.state == "succeeded"
    # Generation 2 has 0.7, and the teacher, which is still generation 0, has 0.5.
    assert [generation.promoted for generation in found.generation_details] == [None, False, True]
    labeled = bench.ray.spec_of(f"{run.id}-g2-label-a1")
    assert isinstance(labeled, LabelSpec)
    assert labeled.model_uri.endswith("/gen-0/train")


def test_a_student_that_passes_teaches(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(gated(run_config, "stop", "top1 >= previous"))
    bench.play_to_the_end(bench.reconciler())
    assert bench.queries.get_run(run.id).state == "succeeded"
    assert bench.ray.spec_of(f"{run.id}-g2-label-a1").model_uri.endswith("/gen-1/train")


def test_the_evaluation_is_told_what_to_measure_and_against_whom(bench: Workbench, run_config: MakeConfig) -> None:
    bench.add_dataset("ds-wild", "evaluation", classes=("moggy",))
    wild = {"name": "wild", "dataset": "ds-wild", "class_map": {"moggy": "cat"}}
    run = bench.commands.create_run(run_config(evaluation={"robustness": {}, "external": [wild]}))
    bench.play_to_the_end(bench.reconciler())

    teacher, student = (bench.ray.spec_of(f"{run.id}-g{number}-evaluate-a1") for number in (0, 1))
    assert isinstance(teacher, EvaluateSpec)
    assert teacher.reference is None
    assert student.reference.model_id == f"{run.id}-g0"
    assert student.reference.result_uri.endswith(f"/runs/{run.id}/gen-0/evaluate/result.json")
    assert student.robustness is not None
    assert student.external[0].class_map == {"moggy": "cat"}


@pytest.mark.parametrize(
    ("evaluation", "field"),
    [
        ({"external": [{"name": "w", "dataset": "ds-nothing"}]}, "evaluation.external.0.dataset"),
        ({"external": [{"name": "w", "dataset": "ds-labeled"}]}, "evaluation.external.0.dataset"),
        ({"external": [{"name": "w", "dataset": "ds-wild"}]}, "evaluation.external.0.class_map"),
        (
            {"external": [{"name": "w", "dataset": "ds-wild", "class_map": {"x": "cat"}}]},
            "evaluation.external.0.class_map",
        ),
        ({"reference": "run-1-g0"}, "evaluation.reference"),
    ],
)
def test_impossible_evaluations_are_refused(
    bench: Workbench, run_config: MakeConfig, evaluation: dict[str, object], field: str
) -> None:
    bench.add_dataset("ds-wild", "evaluation", classes=("moggy",))
    with pytest.raises(InvalidRequest) as refusal:
        bench.commands.create_run(run_config(evaluation=evaluation))
    assert refusal.value.field == field


def test_a_named_reference_must_have_been_judged_alike(
    bench: Workbench, run_config: MakeConfig, finished_run: str
) -> None:
    named = {"reference": f"{finished_run}-g1"}
    bench.commands.create_run(run_config(evaluation=named))
    with pytest.raises(InvalidRequest, match="other robustness settings"):
        bench.commands.create_run(run_config(evaluation={**named, "robustness": {}}))


def test_labels_are_calibrated_where_the_recipe_asks_for_a_fitted_temperature(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run = bench.commands.create_run(run_config(student_recipe={"temperature": "fit"}))
    bench.play_to_the_end(bench.reconciler())
    labeled = bench.ray.spec_of(f"{run.id}-g1-label-a1")
    assert labeled.calibration_manifest_uri.endswith("/ds-validation/manifest.json")


def test_a_gate_on_what_is_not_measured_is_refused(run_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match=r"mce is measured with evaluation\.robustness\.corruptions only"):
        run_config(gate={"conditions": ["mce <= previous"]})
