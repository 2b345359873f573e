"""The whole training loop in one process: the resolution step, initial weights, resuming, and validation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.training.conftest import TrainHere
from workers.data.images.clean import prepare_clean
from workers.data.images.decode import decode_rgb
from workers.data.shards.shard_readers import iterate_shard, load_manifest
from workers.models.files import load_model, load_state, read_card
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageError
from workers.specs.initialization import TeacherInit
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe, ResolutionStep
from workers.specs.reports import FailureReason
from workers.specs.stages import TrainSpec, control_name
from workers.specs.worker_group import WorkerGroup
from workers.training.group.session import TrainingState
from workers.training.input.batches import Batch
from workers.training.learner import Learner
from workers.training.phases import images_seen, phases_of
from workers.training.steps import _step
from workers.training.summary import TrainSummary

STEP = ResolutionStep(image_size=24, steps=4, learning_rate=0.001, frozen_share=0.5)

TEACHER = TeacherInit(kind="teacher", follow=())


def test_the_resolution_step_leaves_a_model_for_the_larger_size(train_here: TrainHere, small_recipe: Recipe) -> None:
    folder, _ = train_here(recipe=small_recipe.model_copy(update={"resolution_step": STEP}))
    card = read_card(str(folder))
    assert (card.image_size, card.train_image_size) == (24, 16)
    assert card.noise == small_recipe.noise
    summary = TrainSummary.model_validate_json((folder / "train_summary.json").read_text())
    assert summary.images_seen == 10 * 20
    assert json.loads((folder / "progress.json").read_text())["total"] == 10
    assert Predictor(str(folder), "cpu").card.image_size == 24


def test_the_resolution_step_sees_labeled_images_without_noise(small_recipe: Recipe) -> None:
    spec = TrainSpec(
        run_id="run-1",
        generation=1,
        attempt=1,
        folder_uri="/nowhere",
        seed=3,
        model="test_resnet",
        classes=("a", "b"),
        recipe=small_recipe.model_copy(update={"resolution_step": STEP, "unlabeled_ratio": 3.0}),
        labeled_manifest_uri="/nowhere/l",
        validation_manifest_uri="/nowhere/v",
        pseudo_labels=PseudoLabels(manifest_uri="/m", labels_uri="/l", selection_uri="/s"),
        workers=WorkerGroup(),
    )
    first, second = phases_of(spec)
    assert (first.first_step, first.end_step, second.first_step, second.end_step) == (0, 6, 6, 10)
    assert first.spec == spec
    assert second.spec.pseudo_labels is None
    assert second.recipe.noise == Noise(rand_augment=None, dropout=0, drop_path=0)
    assert (second.recipe.image_size, second.recipe.optimizer.learning_rate) == (24, 0.001)
    assert images_seen(spec) == 6 * 80 + 4 * 20
    assert (first.as_tested, second.as_tested) == (False, True)
    assert not second.recipe.horizontal_flip


def test_the_resolution_step_sees_pictures_as_they_are_tested(
    train_here: TrainHere, small_recipe: Recipe, digits_manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touvron et al. 2019: what FixRes changes is that training sees the test's crop and size."""
    seen: list[torch.Tensor] = []

    def step(learner: Learner, batch: Batch, *rest: Any) -> torch.Tensor:
        seen.extend(batch.images)
        return _step(learner, batch, *rest)

    monkeypatch.setattr("workers.training.steps._step", step)
    cropped = {"crop": "random_resized", "horizontal_flip": True, "resolution_step": STEP}
    folder, _ = train_here(recipe=small_recipe.model_copy(update=cropped))
    card = read_card(str(folder))
    pictures = [image for piece in iterate_shard(load_manifest(digits_manifest), 0) for image in piece.images]
    tested = {prepare_clean(decode_rgb(data), card).tobytes() for data in pictures}
    shown = [image.numpy().tobytes() for image in seen if image.shape[0] == STEP.image_size]
    assert len(shown) == 4 * 20
    assert set(shown) <= tested
    assert card.crop == "center"


@pytest.mark.parametrize(("size", "share"), [(224, 0.875), (600, 600 / 632), (32, 0.5)])
def test_the_authors_test_crop_keeps_more_of_larger_pictures(size: int, share: float) -> None:
    """Their preprocessing pads by 32 pixels: 0.949 for B7's 600."""
    assert Recipe(image_size=size, test_crop_fraction="authors").centre_crop_fraction == pytest.approx(share)
    assert Recipe(image_size=size).centre_crop_fraction == 0.875
    assert Recipe(image_size=size, test_crop_fraction=0.95).centre_crop_fraction == 0.95


def test_the_model_card_has_the_test_crop_of_the_size_at_which_the_model_is_used(
    train_here: TrainHere, small_recipe: Recipe
) -> None:
    cropped = {"crop": "random_resized", "test_crop_fraction": "authors", "resolution_step": STEP}
    folder, _ = train_here(recipe=small_recipe.model_copy(update=cropped))
    assert read_card(str(folder)).crop_fraction == pytest.approx(24 / (24 + 32))


def test_frozen_layers_do_not_move(train_here: TrainHere, small_recipe: Recipe) -> None:
    plain, _ = train_here("plain")
    stepped, _ = train_here("stepped", small_recipe.model_copy(update={"resolution_step": STEP}))
    before, after = load_state(str(plain)), load_state(str(stepped))
    names = [name for name, _ in load_model(str(plain))[0].named_parameters()]
    frozen, free = names[: len(names) // 2], names[len(names) // 2 :]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert any(not torch.equal(before[name], after[name]) for name in free)


def test_a_vision_transformer_takes_its_position_embeddings_to_the_larger_size(
    train_here: TrainHere, small_recipe: Recipe
) -> None:
    quiet = small_recipe.model_copy(
        update={
            "image_size": 32,
            "noise": Noise(rand_augment=None, dropout=0, drop_path=0),
            "resolution_step": ResolutionStep(image_size=48, steps=1),
        }
    )
    folder, _ = train_here(recipe=quiet, model="test_vit")
    model, card = load_model(str(folder))
    assert card.model_options == {"img_size": 48}
    assert model(torch.zeros(1, 3, 48, 48)).shape == (1, 10)


@pytest.mark.parametrize("stopped_at", [2, 6, 8])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    train_here: TrainHere, small_recipe: Recipe, stopped_at: int
) -> None:
    recipe = small_recipe.model_copy(
        update={"resolution_step": STEP, "noise": Noise(rand_augment=None, dropout=0, drop_path=0)}
    )
    whole, session = train_here("whole", recipe)
    [state] = [each for each in session.states if each["step"] == stopped_at]
    resumed, _ = train_here("resumed", recipe, type(session)(state))
    first, second = load_state(str(whole)), load_state(str(resumed))
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)


def test_a_training_keeps_the_layout_that_it_began_with(train_here: TrainHere, small_recipe: Recipe) -> None:
    _, session = train_here("whole", small_recipe)
    assert session.states[0]["layout"] == [1, 1]
    begun_by_eight: TrainingState = {**session.states[0], "layout": [8, 2]}
    _, resumed = train_here("resumed", small_recipe, type(session)(begun_by_eight))
    assert [state["layout"] for state in resumed.states] == [[8, 2]]


def test_training_may_begin_with_the_weights_of_another_model(train_here: TrainHere, small_recipe: Recipe) -> None:
    first, _ = train_here("first")
    still = small_recipe.model_copy(
        update={
            "init": TEACHER,
            "steps": 1,
            "optimizer": small_recipe.optimizer.model_copy(update={"learning_rate": 1e-12}),
            "schedule": small_recipe.schedule.model_copy(update={"warmup_steps": 0}),
        }
    )
    second, _ = train_here("second", still, initial_model_uri=str(first))
    before, after = load_state(str(first)), load_state(str(second))
    weights = [name for name, _ in load_model(str(first))[0].named_parameters()]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in weights)


def test_weights_of_another_architecture_are_refused(train_here: TrainHere, small_recipe: Recipe) -> None:
    first, _ = train_here("first")
    recipe = small_recipe.model_copy(update={"init": TEACHER})
    with pytest.raises(StageError, match="is a test_resnet, not a test_efficientnet") as refusal:
        train_here("second", recipe, model="test_efficientnet", initial_model_uri=str(first))
    assert refusal.value.reason is FailureReason.USER_ERROR


def test_each_validation_is_told_and_may_end_the_training(
    train_here: TrainHere,
) -> None:
    told = []

    def on_validation(step: int, values: dict[str, float]) -> None:
        told.append((step, set(values)))
        if step == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        train_here(on_validation=on_validation, validate_corrupted=True)
    assert told == [(3, {"validation_top1", "validation_corrupted_top1"})]


def test_a_model_is_worse_on_corrupted_images(train_here: TrainHere, small_recipe: Recipe) -> None:
    told = {}
    recipe = small_recipe.model_copy(update={"steps": 60, "validate_every_steps": 60, "checkpoint_every_steps": 60})
    train_here(recipe=recipe, validate_corrupted=True, on_validation=lambda _, values: told.update(values))
    assert told["validation_corrupted_top1"] < told["validation_top1"]
    assert told["validation_top1"] > 0.6


def test_a_training_that_is_to_pause_ends_with_a_checkpoint_of_its_step(
    train_here: TrainHere, small_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = small_recipe.model_copy(update={"steps": 12, "checkpoint_every_steps": 1000})

    def ask_to_pause(step: int, values: dict[str, float]) -> None:
        (tmp_path / "paused" / control_name(1)).write_text('{"command": "pause"}')

    folder, session = train_here("paused", recipe, on_validation=ask_to_pause)
    assert [state["step"] for state in session.states] == [5]
    assert not (folder / "train_summary.json").exists()
    assert not (folder / "model.safetensors").exists()

    folder, _ = train_here("resumed", recipe, type(session)(session.states[-1]), attempt=2)
    summary = TrainSummary.model_validate_json((folder / "train_summary.json").read_text())
    assert summary.resumed_from_step == 5
