import math
from itertools import pairwise

import pytest
import torch

from workers.specs.optimization import Schedule
from workers.specs.recipe import Recipe
from workers.training.loss import labeled_targets, noisy_student_loss
from workers.training.optimizers import LearningRate


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """The share of the peak's learning rate at a step, by an optimiser of one weight."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe.optimizer.learning_rate)
    LearningRate(optimizer, recipe).set_for(step)
    return float(optimizer.param_groups[0]["lr"]) / recipe.optimizer.learning_rate


def test_cosine_warms_up_then_falls_to_nearly_zero() -> None:
    recipe = Recipe(steps=100, schedule=Schedule(kind="cosine", warmup_steps=10))
    factors = [learning_rate_factor(step, recipe) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.001
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))


def test_step_schedule_multiplies_by_the_factor_at_each_interval() -> None:
    recipe = Recipe(steps=40, schedule=Schedule(kind="step", warmup_steps=0, step_every=10, step_factor=0.5))
    assert [learning_rate_factor(step, recipe) for step in (0, 9, 10, 19, 20, 39)] == [
        1.0,
        1.0,
        0.5,
        0.5,
        0.25,
        0.125,
    ]


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 1), (50, 25), (199, 99), (200, 100), (100_000, 100)])
def test_a_warm_up_that_nobody_set_follows_from_the_steps(steps: int, warmup: int) -> None:
    recipe = Recipe(steps=steps)
    assert recipe.warmup_steps == warmup
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert learning_rate_factor(warmup, recipe) == 1.0


def test_a_warm_up_that_was_set_must_end_before_training() -> None:
    with pytest.raises(ValueError, match=r"must be below steps \(50\); it is 50"):
        Recipe(steps=50, schedule=Schedule(warmup_steps=50))


def test_labeled_targets_are_smoothed_and_sum_to_one() -> None:
    targets = labeled_targets([2, 0], num_classes=4, smoothing=0.1)
    assert targets.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert targets[0].tolist() == pytest.approx([0.025, 0.025, 0.925, 0.025])


def test_loss_of_a_concatenated_batch_weighs_both_parts_by_their_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 5, generator=generator)
    targets = torch.softmax(torch.randn(8, 5, generator=generator), dim=1)
    labeled, pseudo = noisy_student_loss(logits[:2], targets[:2]), noisy_student_loss(logits[2:], targets[2:])
    assert float(noisy_student_loss(logits, targets)) == pytest.approx(float((2 * labeled + 6 * pseudo) / 8))


def test_loss_is_torch_cross_entropy_for_one_hot_targets() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    expected = -(2.0 - math.log(math.exp(2) + 1 + math.exp(-1)))
    assert float(noisy_student_loss(logits, labeled_targets([0], 3, 0.0))) == pytest.approx(expected)
