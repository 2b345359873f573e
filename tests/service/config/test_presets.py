"""The presets: the values of the paper and of the authors' scripts, and how a run overrides them."""

import pytest

from service.config.presets import PRESET_NAMES, PresetName, preset, with_overrides
from service.model_catalog import load_catalog
from service.runs.checks import check_model
from service.runs.training_checks import check_noise
from workers.specs.recipe import Recipe

STEPS_AN_EPOCH = 1_281_167 / 2048
# run.sh of google-research/noisystudent: RandAugment's m, unlabeled ratio, train_ratio (2: 700 epochs, else 350).
SCRIPTS: dict[PresetName, tuple[int, int | None, float, int]] = {
    "paper-b0": (224, None, 1, 2),
    "paper-b1": (240, None, 3, 2),
    "paper-b2": (260, 6, 3, 2),
    "paper-b3": (300, 12, 3, 2),
    "paper-b4": (380, 15, 3, 2),
    "paper-b5": (456, 18, 3, 1),
    "paper-b6": (528, 24, 3, 1),
    "paper-b7": (600, 27, 3, 1),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_papers_presets_are_its_scripts(name: PresetName) -> None:
    size, m, ratio, train_ratio = SCRIPTS[name]
    recipe = preset(name).student_recipe
    augment = recipe.noise.rand_augment
    assert (recipe.image_size, recipe.unlabeled_ratio, recipe.batch_size) == (size, ratio, 2048)
    assert (None if augment is None else (augment.scale, augment.n, augment.m)) == (m and ("authors", 2, m))
    assert (recipe.noise.dropout, recipe.noise.drop_path) == (0.5, 0.2)
    assert recipe.steps == pytest.approx(350 * train_ratio * STEPS_AN_EPOCH, rel=1e-4)
    assert recipe.schedule.step_every == pytest.approx(2.4 * train_ratio * STEPS_AN_EPOCH, rel=1e-3)
    assert recipe.warmup_steps == pytest.approx(5 * STEPS_AN_EPOCH, rel=1e-3)
    assert (recipe.schedule.kind, recipe.schedule.step_factor, recipe.schedule.decay_from) == ("step", 0.97, "start")
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.epsilon, optimizer.momentum, optimizer.squared_decay) == (
        "rmsproptf",
        1e-3,
        0.9,
        0.9,
    )
    assert (optimizer.weight_decay, optimizer.peak_learning_rate(2048)) == (1e-5, 0.128)
    assert optimizer.peak_learning_rate(512) == pytest.approx(0.032)
    assert (recipe.loss_divisor, recipe.label_smoothing, recipe.ema_decay) == ("labeled_images", 0.1, 0.9999)


def test_l2_takes_fourteen_unlabeled_images_and_ends_at_a_larger_size() -> None:
    recipe = preset("paper-l2").student_recipe
    assert (recipe.unlabeled_ratio, recipe.image_size, recipe.test_image_size) == (14, 475, 800)


@pytest.mark.parametrize("labeled_images", [1, 50, 500, 1_281_167, 10**12])
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_is_a_recipe_for_any_size(name: PresetName, labeled_images: int) -> None:
    found = preset(name, labeled_images)
    for recipe in (found.teacher_recipe, found.student_recipe):
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert found.teacher_recipe.unlabeled_ratio == 0
    assert found.student_recipe.unlabeled_ratio > 0


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_suits_its_model(name: PresetName) -> None:
    found, catalog = preset(name), load_catalog()
    check_model("model", found.model, catalog)
    check_noise("student_recipe", found.student_recipe, found.model, catalog)
    assert found.source


def test_a_run_overrides_single_fields_at_any_depth() -> None:
    base = preset("paper-b7").student_recipe
    own = Recipe.model_validate({"image_size": 300, "noise": {"rand_augment": {"m": 12}}})
    together = with_overrides(base, own)
    assert together.image_size == 300
    assert together.noise.rand_augment is not None
    assert (together.noise.rand_augment.scale, together.noise.rand_augment.m) == ("authors", 12)
    assert together.optimizer == base.optimizer
    assert with_overrides(base, Recipe.model_validate({"noise": {"rand_augment": None}})).noise.rand_augment is None
    assert with_overrides(base, Recipe()) == base


def test_steps_follow_the_batch_so_that_epochs_stay() -> None:
    half = preset("paper-b7", batch_size=1024).student_recipe
    assert half.steps == pytest.approx(2 * preset("paper-b7").student_recipe.steps, rel=1e-4)
