"""What the fields of a recipe do to a training, in one process: each by its effect, and each after a resume."""

import random
from typing import Any

import pytest
import torch

from benchmarks.method.two_workers import made_spec
from benchmarks.support.gloo_group import GlooSession, Trajectory, trajectory
from tests.workers.training.conftest import MemorySession, TrainHere
from workers.data.order.lanes import Layout
from workers.models.create import create_model
from workers.models.files import load_model, load_state, read_card
from workers.runtime.stage_reporter import StageError
from workers.specs.initialization import TeacherInit
from workers.specs.noise import Noise
from workers.specs.optimization import EarlyEnd, Mixing, Optimizer, Schedule
from workers.specs.recipe import Recipe, ResolutionStep
from workers.training.best_weights import BestWeights
from workers.training.freezing import freeze_stages
from workers.training.summary import TrainSummary

QUIET = Noise(rand_augment=None, dropout=0, drop_path=0)
RECIPES: dict[str, dict[str, Any]] = {
    "rmsprop_with_steps": {
        "optimizer": Optimizer(name="rmsproptf", learning_rate=0.001, epsilon=1e-3),
        "schedule": Schedule(kind="step", warmup_steps=1, step_every=2, step_factor=0.5, decay_from="start"),
    },
    "lamb": {"optimizer": Optimizer(name="lamb", learning_rate=0.01, layer_decay=0.9)},
    "lion": {"optimizer": Optimizer(name="lion", learning_rate=0.001, clip_gradient_norm=1.0)},
    "mixing": {"mixing": Mixing(mixup_alpha=0.5)},
    "accumulation": {"accumulate": 3},
    "fp16": {"precision": "fp16", "optimizer": Optimizer(clip_gradient_norm=1.0)},
    "bf16": {"precision": "bf16"},
    "best": {"keep": "best", "early_end": EarlyEnd(patience=100)},
}

TEACHER = TeacherInit(kind="teacher", follow=())


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    train_here: TrainHere, small_recipe: Recipe, name: str
) -> None:
    recipe = small_recipe.model_copy(update={"noise": QUIET, **RECIPES[name]})
    whole, session = train_here("whole", recipe)
    [state] = [each for each in session.states if each["step"] == 4]
    resumed, _ = train_here("resumed", recipe, MemorySession(state))
    first, second = load_state(str(whole)), load_state(str(resumed))
    # A CPU's kernels of half precision differ in the last bits by where a tensor lies in memory.
    assert max(float((first[each] - second[each]).abs().max()) for each in first) < (1e-3 if "16" in name else 1e-5)
    plain, _ = train_here("plain", small_recipe.model_copy(update={"noise": QUIET}))
    if name != "best":
        others = load_state(str(plain))
        assert any(not torch.allclose(first[name], others[name], atol=1e-5) for name in first), "it has an effect"


def _trained(tmp_path: Any, **changes: Any) -> Trajectory:
    folder = tmp_path / f"data-{random.random()}"
    folder.mkdir()
    return trajectory(made_spec(folder, 4, 2.0, steps=3, **changes), GlooSession(0, 1), Layout(1))


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


@pytest.mark.parametrize("changes", [{"accumulate": 3}, {"accumulate": 12}, {"gradient_checkpointing": True}])
def test_what_saves_memory_leaves_the_gradients_as_they_are(tmp_path: Any, changes: dict[str, Any]) -> None:
    plain, saving = _trained(tmp_path), _trained(tmp_path, **changes)
    assert saving.losses == pytest.approx(plain.losses, abs=1e-5)
    assert _same(saving.gradients, plain.gradients)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradient_checkpointing_computes_blocks_again(checkpointing: bool) -> None:
    model: Any = create_model("test_vit", 3, 32, 0, 0)
    calls = []
    model.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    model.set_grad_checkpointing(checkpointing)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert len(calls) == 1 + checkpointing


def test_a_model_without_gradient_checkpointing_is_refused(train_here: TrainHere, small_recipe: Recipe) -> None:
    with pytest.raises(StageError, match=r"recipe\.gradient_checkpointing: .* has none"):
        train_here(
            "m", small_recipe.model_copy(update={"gradient_checkpointing": True, "noise": QUIET}), model="selecsls42"
        )


def test_the_authors_loss_is_divided_by_the_labeled_images(tmp_path: Any) -> None:
    plain, authors = _trained(tmp_path), _trained(tmp_path, loss_divisor="labeled_images")
    assert authors.losses[0] == pytest.approx(3 * plain.losses[0], rel=1e-5)


def test_a_linear_probe_moves_the_classifier_alone(train_here: TrainHere, small_recipe: Recipe) -> None:
    first, _ = train_here("first")
    recipe = small_recipe.model_copy(update={"init": TEACHER, "freeze": "all_but_the_head", "noise": QUIET})
    second, _ = train_here("second", recipe, initial_model_uri=str(first))
    before, after = load_state(str(first)), load_state(str(second))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"fc.weight", "fc.bias"}


def test_the_first_stages_stay_frozen(train_here: TrainHere, small_recipe: Recipe) -> None:
    first, _ = train_here("first")
    recipe = small_recipe.model_copy(update={"init": TEACHER, "freeze": 2, "noise": QUIET})
    second, _ = train_here("second", recipe, initial_model_uri=str(first))
    before, after = load_state(str(first)), load_state(str(second))
    still = {name.split(".")[0] for name in before if torch.equal(before[name], after[name])}
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"conv1", "bn1", "layer1"} <= still
    assert {"layer2", "layer3", "layer4", "fc"} <= moved
    assert not {"conv1", "bn1", "layer1"} & moved


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(StageError, match=r"recipe\.freeze: is 9, and the model has \d stages"):
        freeze_stages(create_model("test_resnet", 3, 32, 0, 0), 9)


def test_random_weights_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match="would keep random weights: set init"):
        Recipe(freeze=2)


def test_training_ends_early_when_validation_gains_nothing(train_here: TrainHere, small_recipe: Recipe) -> None:
    told = []
    recipe = small_recipe.model_copy(
        update={"steps": 40, "validate_every_steps": 2, "early_end": EarlyEnd(patience=2, least_gain=0.9)}
    )
    folder, _ = train_here(recipe=recipe, on_validation=lambda step, _: told.append(step))
    summary = TrainSummary.model_validate_json((folder / "train_summary.json").read_text())
    assert told == [2, 4, 6]
    assert (summary.steps, summary.images_seen) == (6, 6 * 20)


def test_a_phase_that_ends_early_is_followed_by_the_resolution_step(
    train_here: TrainHere, small_recipe: Recipe
) -> None:
    recipe = small_recipe.model_copy(
        update={
            "steps": 40,
            "validate_every_steps": 2,
            "early_end": EarlyEnd(patience=1, least_gain=0.9),
            "resolution_step": ResolutionStep(image_size=24, steps=4),
        }
    )
    folder, session = train_here(recipe=recipe)
    summary = TrainSummary.model_validate_json((folder / "train_summary.json").read_text())
    assert summary.steps == 4 + 4
    [state] = [each for each in session.states if each["step"] == 42]
    resumed, _ = train_here("resumed", recipe, MemorySession(state))
    again = TrainSummary.model_validate_json((resumed / "train_summary.json").read_text())
    assert (again.steps, again.images_seen) == (summary.steps, summary.images_seen)
    assert load_model(str(resumed))[1].image_size == 24


def test_the_best_weights_are_kept_with_their_accuracy(train_here: TrainHere, small_recipe: Recipe) -> None:
    found: dict[int, float] = {}
    # A rate that ruins the model after it has learned.
    recipe = small_recipe.model_copy(
        update={
            "keep": "best",
            "steps": 60,
            "validate_every_steps": 10,
            "ema_decay": 0.0,
            "noise": QUIET,
            "optimizer": Optimizer(name="momentum", learning_rate=0.01, momentum=0.0, weight_decay=0),
            "schedule": Schedule(kind="step", warmup_steps=50, step_every=1000),
        }
    )
    folder, _ = train_here(
        recipe=recipe, on_validation=lambda step, values: found.update({step: values["validation_top1"]})
    )
    assert read_card(str(folder)).validation_top1 == max(found.values())


def test_weights_that_are_no_better_are_not_kept() -> None:
    best = BestWeights(Recipe(keep="best", early_end=EarlyEnd(patience=2)))
    for accuracy, value in ((0.5, 1.0), (0.7, 2.0), (0.6, 3.0), (0.7, 4.0)):
        best.validated(accuracy, {"w": torch.tensor(value)})
    assert best.kept({"w": torch.tensor(9.0)}) == {"w": torch.tensor(2.0)}
    assert best.has_ended
    again = BestWeights(Recipe(keep="best"), best.state())
    assert (again.kept_accuracy, float(again.kept({})["w"])) == (0.7, 2.0)


def test_the_last_weights_are_kept_by_default() -> None:
    best = BestWeights(Recipe())
    best.validated(0.7, {"w": torch.tensor(1.0)})
    best.validated(0.6, {"w": torch.tensor(2.0)})
    assert best.kept_accuracy == 0.6
    assert best.kept({"w": torch.tensor(3.0)}) == {"w": torch.tensor(3.0)}


@pytest.mark.long
@pytest.mark.timeout(900)  # Inductor compiles C++
def test_a_compiled_model_trains_as_a_plain_one_does(tmp_path: Any) -> None:
    plain, compiled = _trained(tmp_path), _trained(tmp_path, compile=True)
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-4)
    assert _same(compiled.gradients, plain.gradients)
