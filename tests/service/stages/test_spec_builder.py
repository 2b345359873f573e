"""What each stage's spec contains."""

from dataclasses import replace

import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationPlan
from service.dataset_roots import RootsByProject
from service.stages.generation_plans import generation_seed
from service.stages.order import stages_of
from service.stages.spec_builder import build_stage_spec
from service.stages.spec_inputs import SpecInputs, TrainedModel
from tests.support.workbench import MakeConfig
from workers.specs.initialization import TeacherInit
from workers.specs.labeling import Views
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings
from workers.specs.stages import STAGE_SPEC, EvaluateSpec, LabelSpec, SelectSpec, TrainSpec

LAYOUT = ArtifactLayout("s3://bucket/root/")
ANYWHERE = RootsByProject(None)


@pytest.fixture
def inputs(run_config: MakeConfig) -> SpecInputs:
    plans = {
        number: GenerationPlan(
            model=model,
            recipe=Recipe(steps=1000 + number),
            selection=SelectionSettings(min_confidence=number / 10),
            seed=generation_seed(7, number),
        )
        for number, model in enumerate(["small", "large", "large"])
    }
    return SpecInputs(
        run_id="run-1",
        config=run_config(),
        classes=("cat", "dog"),
        plans=plans,
        source_run_id="run-1",
        models={
            0: TrainedModel("run-1-g0", "small", "s3://models/0", 0.88, 0.9),
            1: TrainedModel("run-1-g1", "large", "s3://models/1", 0.91, 0.92),
        },
    )


def test_every_stage_of_every_generation_has_a_spec_that_survives_json(inputs: SpecInputs) -> None:
    for generation in (0, 1):
        for stage in stages_of(generation, inputs.plans[generation]):
            spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, generation, stage, attempt=3)
            assert STAGE_SPEC.validate_json(spec.model_dump_json()) == spec
            assert (spec.stage, spec.generation, spec.attempt) == (stage, generation, 3)
            assert spec.folder_uri == f"s3://bucket/root/runs/run-1/gen-{generation}/{stage}"


def test_the_teacher_of_a_generation_is_the_model_of_the_one_before(inputs: SpecInputs) -> None:
    spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, 2, "label", attempt=1)

    assert isinstance(spec, LabelSpec)
    assert spec.model_uri == "s3://models/1"


def test_the_teacher_labels_the_views_that_the_run_asks_for(inputs: SpecInputs, run_config: MakeConfig) -> None:
    views = Views(flip=True, crops=5)
    asked = replace(inputs, config=run_config(labeling={"views": {"flip": True, "crops": 5}}))
    given = [build_stage_spec(each, LAYOUT, ANYWHERE, 2, "label", attempt=1) for each in (inputs, asked)]
    assert [spec.views for spec in given if isinstance(spec, LabelSpec)] == [Views(), views]


def test_a_generation_is_judged_by_its_own_model(inputs: SpecInputs) -> None:
    spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, 1, "evaluate", attempt=1)

    assert isinstance(spec, EvaluateSpec)
    assert spec.model_uri == "s3://models/1"
    assert spec.manifest_uri == "s3://bucket/root/datasets/ds-test/manifest.json"


def test_the_first_teacher_learns_from_labeled_images_alone(inputs: SpecInputs) -> None:
    spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, 0, "train", attempt=1)

    assert isinstance(spec, TrainSpec)
    assert spec.pseudo_labels is None
    assert spec.model == "small"


def test_a_student_learns_from_the_labels_and_the_selection_of_its_own_generation(inputs: SpecInputs) -> None:
    spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, 2, "train", attempt=1)

    assert isinstance(spec, TrainSpec)
    assert spec.recipe.steps == 1002
    assert spec.pseudo_labels is not None
    assert spec.pseudo_labels.labels_uri == "s3://bucket/root/runs/run-1/gen-2/label"
    assert spec.pseudo_labels.selection_uri == "s3://bucket/root/runs/run-1/gen-2/select"


def test_labeling_is_told_which_images_are_held_out(inputs: SpecInputs) -> None:
    selection = build_stage_spec(inputs, LAYOUT, ANYWHERE, 1, "select", attempt=1)
    spec = build_stage_spec(inputs, LAYOUT, ANYWHERE, 1, "label", attempt=1)

    assert isinstance(selection, SelectSpec)
    assert selection.settings.min_confidence == 0.1
    assert selection.labeled_manifest_uri == "s3://bucket/root/datasets/ds-labeled/manifest.json"
    assert isinstance(spec, LabelSpec)
    assert [images.fingerprints_uri for images in spec.evaluation_images] == [
        "s3://bucket/root/datasets/ds-validation/fingerprints.parquet",
        "s3://bucket/root/datasets/ds-test/fingerprints.parquet",
    ]


def test_the_first_training_compares_the_labeled_images_with_all_evaluation_images(
    inputs: SpecInputs, run_config: MakeConfig
) -> None:
    wild = {"external": [{"name": "wild", "dataset": "ds-wild"}]}
    with_external = SpecInputs(**{**vars(inputs), "config": run_config(evaluation=wild)})
    first, second = (build_stage_spec(with_external, LAYOUT, ANYWHERE, number, "train", attempt=1) for number in (0, 1))
    assert isinstance(first, TrainSpec)
    assert isinstance(second, TrainSpec)
    assert first.labeled_images is not None
    assert first.labeled_images.manifest_uri.endswith("/ds-labeled/manifest.json")
    datasets = [images.manifest_uri.split("/")[-2] for images in first.evaluation_images]
    assert (datasets, first.near_duplicate_distance) == (["ds-validation", "ds-test", "ds-wild"], 4)
    assert second.labeled_images is None


def test_training_shards_are_written_without_gpus(inputs: SpecInputs, run_config: MakeConfig) -> None:
    pool = {"min_actors": 1, "max_actors": 16, "cpus_per_actor": 8.0, "gpus_per_actor": 1.0, "node_labels": None}
    on_gpus = SpecInputs(**{**vars(inputs), "config": run_config(resources={"label": pool})})
    selection = build_stage_spec(on_gpus, LAYOUT, ANYWHERE, 1, "select", attempt=1)
    assert isinstance(selection, SelectSpec)
    assert selection.pool.model_dump() == {**pool, "gpus_per_actor": 0.0}


def test_pseudo_labels_are_judged_where_their_truth_is_known(inputs: SpecInputs, run_config: MakeConfig) -> None:
    datasets = {**inputs.config.datasets.model_dump(), "pseudo_label_truth": "ds-truth"}
    known = SpecInputs(**{**vars(inputs), "config": run_config(datasets=datasets)})

    student = build_stage_spec(known, LAYOUT, ANYWHERE, 1, "evaluate", attempt=1)
    teacher = build_stage_spec(known, LAYOUT, ANYWHERE, 0, "evaluate", attempt=1)

    assert isinstance(student, EvaluateSpec)
    assert isinstance(teacher, EvaluateSpec)
    assert student.pseudo_label_truth is not None
    assert student.pseudo_label_truth.truth_manifest_uri.endswith("ds-truth/manifest.json")
    assert student.pseudo_label_truth.labels_uri.endswith("gen-1/label")
    assert teacher.pseudo_label_truth is None


def test_seeds_differ_between_generations_and_between_runs() -> None:
    seeds = {generation_seed(seed, generation) for seed in range(100) for generation in range(50)}

    assert len(seeds) == 5000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert generation_seed(3, 1) == generation_seed(3, 1)


def test_every_spec_says_where_images_may_be_read(inputs: SpecInputs) -> None:
    roots = RootsByProject(("/shared",), {"pets": ("/pets",)})
    of_pets = replace(inputs, projects=frozenset({"pets"}))
    for stage in stages_of(1, inputs.plans[1]):
        spec = build_stage_spec(of_pets, LAYOUT, roots, 1, stage, attempt=1)
        assert spec.dataset_roots == ("/pets",)
    assert build_stage_spec(of_pets, LAYOUT, ANYWHERE, 1, "label", attempt=1).dataset_roots is None


def test_a_student_begins_with_its_teachers_weights_only_if_its_recipe_says_so(inputs: SpecInputs) -> None:
    def begins_with(generation: int) -> str | None:
        spec = build_stage_spec(changed, LAYOUT, ANYWHERE, generation, "train", attempt=1)
        assert isinstance(spec, TrainSpec)
        return spec.initial_model_uri

    plan = inputs.plans[2]
    from_teacher = plan.model_copy(
        update={"recipe": plan.recipe.model_copy(update={"init": TeacherInit(kind="teacher")})}
    )
    changed = replace(inputs, plans={**inputs.plans, 2: from_teacher})
    assert [begins_with(generation) for generation in (0, 1, 2)] == [None, None, "s3://models/1"]
