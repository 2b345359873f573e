"""Models that were trained elsewhere, in the control plane: how they are registered, and what takes them then."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.config.models import RegistrationRequest
from service.config.policies import Artifact
from service.config.run import RunConfig
from service.config.stage_key import StageKey
from service.errors import Forbidden, InvalidRequest, NotFound
from service.lifecycle.states import RunState
from service.retention.files import files_to_collect
from service.store.visibility import only_projects
from tests.support.workbench import MakeConfig, Workbench, submitted
from workers.specs.reports import FailureReason
from workers.specs.stages import LabelSpec, TrainSpec, VerifySpec

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
URI = "/data/pets/model.safetensors"


def request(**changes: Any) -> RegistrationRequest:
    body = {"name": "pets of 2024", "uri": URI, "check": {"dataset": "ds-labeled"}, **changes}
    return RegistrationRequest.model_validate_json(json.dumps(body))


def registered(bench: Workbench, **changes: Any) -> str:
    """Registers a model, with the files that it has, and returns its id."""
    registration_id = bench.services.registration_commands.register(request(**changes)).id
    bench.play_to_the_end(bench.reconciler())
    bench.ray.submits.clear()
    model = bench.services.registration_queries.get_registration(registration_id).model
    assert model is not None
    for name in ("model.json", "model.safetensors"):
        (Path(model.uri) / name).write_text("{}")
    return model.id


@on_sqlite
def test_a_registration_is_a_run_of_one_stage_that_ends_with_a_model(bench: Workbench) -> None:
    registration = bench.services.registration_commands.register(
        request(
            model="small", classes=["cat", "dog"], input={"image_size": 48}, check={"dataset": "ds-test", "images": 9}
        )
    )
    assert (registration.state, registration.model, registration.check) == (RunState.RUNNING, None, None)
    assert bench.queries.list_models().items == []
    bench.play_to_the_end(bench.reconciler())

    assert submitted(bench, registration.id) == ["g0-verify-a1"]
    spec = bench.ray.spec_of(f"{registration.id}-g0-verify-a1")
    assert isinstance(spec, VerifySpec)
    assert (spec.settings.uri, spec.settings.model, spec.settings.classes) == (URI, "small", ("cat", "dog"))
    assert (spec.settings.input.image_size, spec.settings.images) == (48, 9)
    assert spec.manifest_uri.endswith("/ds-test/manifest.json")

    found = bench.services.registration_queries.get_registration(registration.id)
    assert found.state == RunState.SUCCEEDED
    assert found.check is not None
    assert found.check.top1 == 0.8
    [model] = bench.queries.list_models().items
    assert found.model == model
    assert (model.imported_from, model.weights_digest) == (URI, "ab" * 32)
    assert (model.model, model.validation_top1, model.test_top1) == ("small", 0.8, None)
    assert bench.services.registration_queries.list_registrations().items[0].id == registration.id
    assert bench.queries.list_runs().items == []
    events = [event.kind for event in bench.queries.list_events(registration.id).items]
    assert "registration_created" in events


@on_sqlite
def test_a_failed_check_leaves_no_model_and_says_why(bench: Workbench) -> None:
    registration = bench.services.registration_commands.register(request())
    bench.play(bench.reconciler(), until=lambda _: True)
    message = "settings.classes: the classifier has 3 outputs"
    bench.ray.write_failure(f"{registration.id}-g0-verify-a1", FailureReason.USER_ERROR, message)
    bench.ray.end(f"{registration.id}-g0-verify-a1", "FAILED")
    for _ in range(3):
        bench.reconciler().tick()
    found = bench.services.registration_queries.get_registration(registration.id)
    assert (found.state, found.model) == (RunState.FAILED, None)
    assert found.state_reason is not None
    assert message in found.state_reason
    assert bench.queries.list_models().items == []


def taught_by(run_config: MakeConfig, model_id: str, **changes: Any) -> RunConfig:
    return run_config(**{"teacher": {"model": model_id}, "teacher_model": None, **changes})


@on_sqlite
def test_an_imported_model_teaches_a_run(bench: Workbench, run_config: MakeConfig) -> None:
    model_id = registered(bench)
    recipe = {"init": {"kind": "model", "id": model_id}}
    run_id = bench.commands.create_run(taught_by(run_config, model_id, student_recipe=recipe)).id
    bench.play_to_the_end(bench.reconciler())
    assert submitted(bench, run_id)[0] == "g0-evaluate-a1"
    uri = bench.queries.get_model(model_id).uri
    labeled = bench.ray.spec_of(f"{run_id}-g1-label-a1")
    assert isinstance(labeled, LabelSpec)
    assert labeled.model_uri == uri
    trained = bench.ray.spec_of(f"{run_id}-g1-train-a1")
    assert isinstance(trained, TrainSpec)
    assert trained.initial_model_uri == uri
    assert trained.pseudo_labels is not None
    assert trained.pseudo_labels.teachers == (model_id,)

    lineage = bench.services.lineage.model_lineage(f"{run_id}-g1")
    assert [each.model_id for each in lineage.line()] == [f"{run_id}-g1", model_id]
    assert lineage.teacher is not None
    assert lineage.teacher.imported_from == URI


@on_sqlite
def test_an_imported_model_labels_beside_another_teacher(bench: Workbench, run_config: MakeConfig) -> None:
    model_id = registered(bench)
    run_id = bench.commands.create_run(run_config(labeling={"further_teachers": [model_id]})).id
    bench.play_to_the_end(bench.reconciler())
    labeled = bench.ray.spec_of(f"{run_id}-g1-label-a1")
    assert isinstance(labeled, LabelSpec)
    assert [each.model_id for each in labeled.further_teachers] == [model_id]


@on_sqlite
def test_its_lineage_says_where_it_is_from_and_no_run_repeats_it(bench: Workbench) -> None:
    lineage = bench.services.lineage.model_lineage(registered(bench))
    assert (lineage.imported_from, lineage.run_config, lineage.teacher_id) == (URI, None, None)
    assert [stage.name for stage in lineage.stages] == ["verify"]
    assert [(each.part, each.id) for each in lineage.datasets] == [("check", "ds-labeled")]
    assert lineage.initial_weights is not None
    assert lineage.initial_weights.digest == "ab" * 32
    assert (lineage.recipe.image_size, lineage.recipe.crop, lineage.recipe.interpolation) == (48, "none", "bilinear")


@on_sqlite
def test_views_that_its_input_configuration_rules_out_are_refused(bench: Workbench, run_config: MakeConfig) -> None:
    config = taught_by(run_config, registered(bench), labeling={"views": {"crops": 5}})
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(config)
    assert caught.value.field == "labeling.views.crops"


@on_sqlite
def test_a_model_of_other_classes_cannot_teach(bench: Workbench, run_config: MakeConfig) -> None:
    config = taught_by(run_config, registered(bench, classes=["dog", "cat"]))
    with pytest.raises(InvalidRequest, match="in another order") as caught:
        bench.commands.create_run(config)
    assert caught.value.field == "teacher.model"


@on_sqlite
def test_no_rule_of_retention_collects_a_model_whether_it_teaches_or_not(bench: Workbench) -> None:
    uri = bench.queries.get_model(registered(bench)).uri
    for artifact in Artifact:
        assert set(files_to_collect(uri, artifact, keep_last=0)) & {"model.json", "model.safetensors"} == set()


@on_sqlite
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": "huge"}, "model"),
        ({"check": {"dataset": "ds-none"}}, "check.dataset"),
        ({"uri": "/data/../etc/model.pth"}, "uri"),
    ],
)
def test_what_is_known_to_be_wrong_is_refused_at_once(bench: Workbench, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bench.services.registration_commands.register(request(**changes))
    assert caught.value.field == field


def test_a_class_that_is_named_twice_is_refused_by_its_place() -> None:
    with pytest.raises(ValueError, match="'cat' is the name of two classes"):
        request(classes=["cat", "cat"])


@on_sqlite
def test_the_same_request_with_the_same_key_registers_once(bench: Workbench) -> None:
    first, second = (bench.services.registration_commands.register(request(), "once") for _ in range(2))
    assert first.id == second.id


@on_sqlite
def test_other_projects_neither_see_a_registration_nor_register_on_datasets_that_they_cannot_see(
    bench: Workbench,
) -> None:
    model_id = registered(bench)
    with only_projects(frozenset({"cats"})):
        with pytest.raises(NotFound):
            bench.services.registration_queries.get_registration(model_id.removesuffix("-g0"))
        with pytest.raises(InvalidRequest, match="there is no dataset"):
            bench.services.registration_commands.register(request())
        with pytest.raises(Forbidden):
            bench.services.registration_commands.register(request(project="default"))


@on_sqlite
def test_a_registration_without_a_model_name_shows_none_before_its_weights_are_read(bench: Workbench) -> None:
    registration = bench.services.registration_commands.register(request())
    run = bench.queries.get_run(registration.id)
    assert run.config is not None
    assert run.config.teacher_model is None
    assert bench.queries.get_stage(StageKey(registration.id, 0, "verify")).result is None
