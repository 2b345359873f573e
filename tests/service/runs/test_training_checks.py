"""What is rejected because the workers of a training could not do it."""

import pytest

from service.errors import InvalidRequest
from service.model_catalog import load_catalog
from service.runs.training_checks import check_init, check_training, check_views
from workers.specs.initialization import FileInit, Init, PretrainedInit, TeacherInit
from workers.specs.labeling import Views
from workers.specs.recipe import Recipe
from workers.specs.worker_group import WorkerGroup


def test_synchronized_batch_norm_needs_gpus() -> None:
    recipe = Recipe(sync_batch_norm=True)
    with pytest.raises(InvalidRequest, match="on GPUs only") as refused:
        check_training("student_recipe", recipe, WorkerGroup(num_workers=2, gpus_per_worker=0))
    assert refused.value.field == "student_recipe.sync_batch_norm"
    check_training("student_recipe", recipe, WorkerGroup(num_workers=2))
    check_training("student_recipe", recipe, WorkerGroup(num_workers=1, gpus_per_worker=0))
    check_training("student_recipe", Recipe(), WorkerGroup(num_workers=2, gpus_per_worker=0))


def test_only_a_student_of_the_same_model_can_begin_with_its_teachers_weights() -> None:
    catalog = load_catalog()
    recipe = Recipe(init=TeacherInit(kind="teacher"))
    check_init("student_recipe", recipe, "resnet18", "resnet18", catalog)
    check_init("student_recipe", Recipe(), "resnet34", "resnet18", catalog)
    with pytest.raises(InvalidRequest, match="the student is resnet34 and its teacher resnet18") as refused:
        check_init("student_recipe", recipe, "resnet34", "resnet18", catalog)
    assert refused.value.field == "student_recipe.init"
    with pytest.raises(InvalidRequest, match="a teacher has none before it"):
        check_init("teacher_recipe", recipe, "resnet18", None, catalog)


@pytest.mark.parametrize(
    ("init", "model", "field", "message"),
    [
        (PretrainedInit(kind="pretrained"), "coatnet_0_224", "init", "timm has no weights for coatnet_0_224"),
        (PretrainedInit(kind="pretrained", name="resnet18.a9"), "resnet18", "init.name", "it has .*resnet18.a1_in1k"),
        (PretrainedInit(kind="pretrained", name="resnet34.a1_in1k"), "resnet18", "init.name", "for resnet18"),
        (PretrainedInit(kind="pretrained", name="hf-hub:resnet18"), "resnet18", "init.name", "hf-hub:OWNER/NAME"),
        (FileInit(kind="file", uri="/data/weights.pkl"), "resnet18", "init.uri", "ends in .safetensors, .pth"),
        (FileInit(kind="file", uri="s3://data/weights.npz?region=x"), "resnet18", "init.uri", "ends in .safetensors"),
    ],
)
def test_weights_that_a_model_cannot_begin_with_are_refused(init: Init, model: str, field: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as refused:
        check_init("teacher_recipe", Recipe(init=init), model, None, load_catalog())
    assert refused.value.field == f"teacher_recipe.{field}"


@pytest.mark.parametrize(
    "init",
    [
        PretrainedInit(kind="pretrained"),
        PretrainedInit(kind="pretrained", name="resnet18"),
        PretrainedInit(kind="pretrained", name="resnet18.a1_in1k"),
        PretrainedInit(kind="pretrained", name="hf-hub:acme/pets-resnet18@main"),
        FileInit(kind="file", uri="s3://data/model.safetensors?region=eu"),
        FileInit(kind="file", uri="/data/model_best.pth.tar"),
    ],
)
def test_weights_that_a_model_may_have_are_accepted(init: Init) -> None:
    check_init("teacher_recipe", Recipe(init=init), "resnet18", None, load_catalog())


@pytest.mark.parametrize(
    ("views", "recipe", "field", "message"),
    [
        (Views(flip=True), Recipe(horizontal_flip=False), "labeling.views.flip", "knows no mirror images"),
        (Views(crops=5), Recipe(crop="none"), "labeling.views.crops", "student_recipe has crop none"),
        (Views(crops=5), Recipe(test_crop_fraction=1.0), "labeling.views.crops", "a test_crop_fraction of 1"),
    ],
)
def test_views_that_a_teacher_could_gain_nothing_from_are_refused(
    views: Views, recipe: Recipe, field: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as refused:
        check_views(views, "student_recipe", recipe)
    assert refused.value.field == field
    check_views(Views(), "student_recipe", recipe)
    check_views(Views(flip=True, crops=5), "student_recipe", Recipe())
