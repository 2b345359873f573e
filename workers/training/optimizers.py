"""The optimizer and the schedule of a recipe, by timm's factories."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from workers.models.lean_timm import load_part
from workers.specs.optimization import Optimizer
from workers.specs.recipe import Recipe
from workers.training.sharding import is_sharded
from workers.training.weight_decay import without_decay

_FUSED = ("adamw", "sgd", "momentum")
"""torch's own, which can change all weights in one kernel."""
_FUSED_SHARDED = ("adamw",)
"""Those of them that can do so with sharded weights."""
_NEVER = 10**12


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of the trainable parameters of a timm model (huggingface.co/docs/timm, `create_optimizer_v2`)."""
    settings = recipe.optimizer
    left_alone = without_decay(model)
    model.no_weight_decay = lambda: left_alone  # type: ignore[assignment]
    optimizer: torch.optim.Optimizer = load_part("timm.optim").create_optimizer_v2(
        model,
        opt=settings.name,
        lr=settings.peak_learning_rate(recipe.batch_size),
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        layer_decay=settings.layer_decay,
        **_options(settings, _FUSED_SHARDED if is_sharded(model) else _FUSED),
    )
    return optimizer


def _options(settings: Optimizer, fused: Collection[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if settings.epsilon is not None:
        options["eps"] = settings.epsilon
    if settings.betas is not None:
        options["betas"] = settings.betas
    if settings.name == "rmsproptf":
        options["alpha"] = settings.squared_decay
    if settings.name == "sgd":
        options["nesterov"] = settings.momentum > 0
    if settings.name in fused:
        options["fused"] = True
    elif settings.name in _FUSED:
        options["foreach"] = True
    return options


class LearningRate:
    """Sets the learning rates of an optimizer to those of a step. It keeps no state: a step says all."""

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        schedule, warmup = recipe.schedule, recipe.warmup_steps
        from_start = schedule.decay_from == "start"
        peak = recipe.optimizer.peak_learning_rate(recipe.batch_size)
        self._optimizer = optimizer
        # The rate of each group at the peak; timm's schedules multiply it by the group's `lr_scale` (layer decay).
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = peak
        self._schedule, _ = load_part("timm.scheduler").create_scheduler_v2(
            optimizer,
            sched=schedule.kind,
            num_epochs=max(1, recipe.steps if from_start else recipe.steps - warmup),
            decay_epochs=schedule.step_every,
            decay_rate=schedule.power if schedule.kind == "poly" else schedule.step_factor,
            min_lr=schedule.final_share * peak,
            # The first step has the first share of the way to the peak, which the step after the warm-up has.
            warmup_lr=peak / (warmup + 1),
            warmup_epochs=warmup,
            warmup_prefix=not from_start,
            step_on_epochs=False,
            updates_per_epoch=1,
        )

    def set_for(self, step: int) -> None:
        """Sets the rates of `step`, counted from 0 within the phase."""
        self._schedule.step_update(step)

    @property
    def highest(self) -> float:
        """The rate of the present step, where layers have rates of their own the highest."""
        return max(float(group["lr"]) for group in self._optimizer.param_groups)
