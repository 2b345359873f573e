"""Runs whose recipes begin with weights that there are: what is refused, what a stage is told, what lineage names."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.config.presets import PresetName, preset, with_overrides
from service.config.run import GenerationOverrides
from service.config.stage_key import StageKey
from service.errors import InvalidRequest
from tests.support.changed_settings import changed
from tests.support.made_results import made_result
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import read_bytes, write_bytes
from workers.specs.initialization import (
    INPUT_FIELDS,
    InitialWeights,
    InitialWeightsReport,
    InputConfiguration,
    ModelInit,
    PretrainedInit,
)
from workers.specs.recipe import Recipe
from workers.specs.results import StageTiming, TrainResult
from workers.specs.stages import STAGE_SPEC, TrainSpec

REPORT = InitialWeightsReport(
    weights=InitialWeights(
        kind="file",
        source="/data/w.safetensors",
        digest="ab" * 32,
        tensors_taken=1,
        tensors_left=1,
        tensors_new=1,
    ),
    configuration=InputConfiguration(
        image_size=160,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop="none",
        test_crop_fraction=1.0,
        interpolation="bilinear",
    ),
    followed=INPUT_FIELDS,
    taken=("body.weight",),
    left=("fc.weight",),
    new=("head.weight",),
)


def begins_with(**init: Any) -> dict[str, Any]:
    return {"init": init, "unlabeled_ratio": 0}


@pytest.mark.parametrize("field", ["teacher_recipe", "student_recipe"])
@pytest.mark.parametrize(
    ("init", "part", "message"),
    [
        ({"kind": "model", "id": "run-gone-g0"}, "id", "there is no model 'run-gone-g0'"),
        ({"kind": "file", "uri": "s3://elsewhere/w.pth"}, "uri", "outside of the places allowed for datasets"),
        ({"kind": "file", "uri": "/shared/../etc/w.pth"}, "uri", "is refused in the place of a dataset"),
        ({"kind": "file", "uri": "s3://key:secret@shared/w.pth"}, "uri", "credentials do not belong into a URI"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_before_a_run_starts(
    bench: Workbench, run_config: MakeConfig, field: str, init: dict[str, Any], part: str, message: str
) -> None:
    bench.restart(changed(bench.settings, datasets__roots=("/shared",)))
    with pytest.raises(InvalidRequest, match=message) as refused:
        bench.commands.create_run(run_config(**{field: {"init": init}}))
    assert refused.value.field == f"{field}.init.{part}"
    assert bench.ray.submits == []


def test_a_model_must_be_trained_and_of_the_same_architecture(bench: Workbench, run_config: MakeConfig) -> None:
    first = bench.commands.create_run(run_config()).id
    student = begins_with(kind="model", id=f"{first}-g0")
    with pytest.raises(InvalidRequest, match=f"{first}-g0 has not been trained") as refused:
        bench.commands.create_run(run_config(teacher_recipe=student))
    assert refused.value.field == "teacher_recipe.init.id"
    bench.play_to_the_end(bench.reconciler())
    override = {"1": {"recipe": {"init": {"kind": "model", "id": f"{first}-g0"}}}}
    with pytest.raises(InvalidRequest, match=f"{first}-g0 is a small, and this recipe trains a large") as refused:
        bench.commands.create_run(run_config(generation_overrides=override))
    assert refused.value.field == "generation_overrides.1.recipe.init.id"

    second = bench.commands.create_run(run_config(teacher_recipe=student)).id
    bench.reconciler().tick()

    spec = spec_of(bench, second)
    assert spec.initial_model_uri == bench.queries.get_model(f"{first}-g0").uri
    assert isinstance(spec.recipe.init, ModelInit)


def test_an_added_generation_may_begin_with_a_model_and_is_checked_alike(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run_id = bench.commands.create_run(run_config()).id
    bench.play_to_the_end(bench.reconciler())
    recipe = Recipe(init=ModelInit(kind="model", id="gone"))
    with pytest.raises(InvalidRequest, match="there is no model 'gone'") as refused:
        bench.commands.add_generation(run_id, GenerationOverrides(recipe=recipe))
    assert refused.value.field == "recipe.init.id"
    again = Recipe(init=ModelInit(kind="model", id=f"{run_id}-g1"))
    bench.commands.add_generation(run_id, GenerationOverrides(recipe=again))
    bench.play(bench.reconciler(), until=lambda job: job.endswith("g2-train-a1"))
    assert spec_of(bench, run_id, 2).initial_model_uri == bench.queries.get_model(f"{run_id}-g1").uri


def test_a_stage_is_told_where_the_file_of_weights_may_lie(bench: Workbench, run_config: MakeConfig) -> None:
    bench.restart(changed(bench.settings, datasets__roots=("/shared",)))
    init = {"kind": "file", "uri": "/shared/model.safetensors"}
    run_id = bench.commands.create_run(run_config(teacher_recipe=begins_with(**init))).id
    bench.reconciler().tick()
    spec = spec_of(bench, run_id)
    assert spec.file_roots == ("/shared",)
    assert spec.initial_model_uri is None


def test_lineage_and_stages_name_what_a_model_began_with(
    bench: Workbench, run_config: MakeConfig, tmp_path: Path
) -> None:
    config = run_config(generations=0, teacher_recipe=begins_with(kind="file", uri=str(tmp_path / "w.safetensors")))
    run_id = bench.commands.create_run(config).id
    reconciler = bench.reconciler()
    reconciler.tick()
    key = StageKey(run_id, 0, "train")
    timing = StageTiming(entered_at=1.0, work_started_at=2.0, work_ended_at=3.0)
    result = made_result(spec_of(bench, run_id), timing, top1=0.9)
    assert isinstance(result, TrainResult)
    told = result.model_copy(update={"initial_weights": REPORT})
    write_bytes(f"{spec_of(bench, run_id).folder_uri}/result.json", told.model_dump_json().encode())
    bench.ray.end(f"{run_id}-g0-train-a1")
    reconciler.tick()

    found = bench.services.lineage.model_lineage(f"{run_id}-g0")
    assert found.initial_weights == REPORT.weights
    assert (found.recipe.image_size, found.recipe.interpolation) == (160, "bilinear")  # as trained
    stage = bench.queries.get_stage(key).result
    assert stage is not None
    assert stage["initial_weights"]["taken"] == ["body.weight"]
    assert stage["initial_weights"]["left"] == ["fc.weight"]
    assert stage["initial_weights"]["new"] == ["head.weight"]
    listed = bench.queries.get_run(run_id).generation_details[0].stages[0].result
    assert listed is not None
    assert listed["initial_weights"]["weights"]["tensors_taken"] == 1
    assert "taken" not in listed["initial_weights"]


def spec_of(bench: Workbench, run_id: str, generation: int = 0) -> TrainSpec:
    uri = f"{bench.settings.artifact_root}/runs/{run_id}/gen-{generation}/train/specs/a1.json"
    spec = STAGE_SPEC.validate_json(read_bytes(uri))
    assert isinstance(spec, TrainSpec)
    return spec


def test_a_recipe_notes_which_fields_it_leaves_to_the_weights() -> None:
    own = {"init": {"kind": "pretrained"}, "mean": [0.1, 0.1, 0.1]}
    recipe = Recipe.model_validate_json(json.dumps(own))
    assert isinstance(recipe.init, PretrainedInit)
    assert recipe.init.follow == tuple(name for name in INPUT_FIELDS if name != "mean")
    stored = Recipe.model_validate_json(recipe.model_dump_json())
    assert stored == recipe
    changed_later = stored.model_copy(update={"image_size": 96})
    assert isinstance(changed_later.init, PretrainedInit)
    assert changed_later.init.follow == recipe.init.follow
    trained = stored.followed(REPORT.configuration)
    assert (trained.image_size, trained.mean, trained.crop) == (160, (0.1, 0.1, 0.1), "none")
    assert trained.followed(REPORT.configuration) == trained


@pytest.mark.parametrize(("name", "left"), [("fine-tune", True), ("paper-b7", False)])
def test_what_a_preset_sets_does_not_follow_the_weights(name: PresetName, left: bool) -> None:
    own = Recipe(init=PretrainedInit(kind="pretrained", name="hf-hub:acme/pets"), label_smoothing=0.2)
    merged = with_overrides(preset(name, 10_000).student_recipe, own)
    assert isinstance(merged.init, PretrainedInit)
    assert merged.init.name == "hf-hub:acme/pets"
    assert merged.init.follow is not None
    assert ("image_size" in merged.init.follow) == left
    assert {"mean", "std", "interpolation"} <= set(merged.init.follow)
