"""What is rejected because the workers of a training could not do it."""

import pytest

from service.errors import InvalidRequest
from service.runs.training_checks import check_beginning, check_training, check_views
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
    recipe = Recipe(begin_with="teacher")
    check_beginning("student_recipe", recipe, "resnet18", "resnet18")
    check_beginning("student_recipe", Recipe(), "resnet34", "resnet18")
    with pytest.raises(InvalidRequest, match="the student is resnet34 and its teacher resnet18") as refused:
        check_beginning("student_recipe", recipe, "resnet34", "resnet18")
    assert refused.value.field == "student_recipe.begin_with"
    with pytest.raises(InvalidRequest, match="a teacher has none before it"):
        check_beginning("teacher_recipe", recipe, "resnet18", None)


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
