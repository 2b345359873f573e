"""Defines the search's space: what the sampler draws, and which training a draw stands for. Pure."""

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from workers.specs.noise import Noise, RandAugment
from workers.specs.recipe import Recipe
from workers.specs.search import (
    SearchSettings,
    SearchSpace,
    TrialParameters,
    look_every_steps,
    searched_rand_augment,
    trial_steps,
)

MODEL = "model"
"""The name under which the sampler draws an index of the models. They are ordered by size, so that neighbours are
alike, which the sampler can use."""

Draw = dict[str, float | int]


def distributions(space: SearchSpace, models: Sequence[str]) -> dict[str, BaseDistribution]:
    """The distributions that are drawn from, by the name of the trial's parameter."""
    found: dict[str, BaseDistribution] = {}
    for name in ("rand_augment_n", "rand_augment_m"):
        whole = getattr(space, name)
        if whole is not None:
            highest = whole.low + (whole.high - whole.low) // whole.step * whole.step
            found[name] = IntDistribution(whole.low, highest, step=whole.step)
    for name in ("dropout", "drop_path", "unlabeled_ratio"):
        numbers = getattr(space, name)
        if numbers is not None:
            found[name] = FloatDistribution(numbers.low, numbers.high)
    if len(models) > 1:
        found[MODEL] = IntDistribution(0, len(models) - 1)
    return found


def default_parameters(model: str, recipe: Recipe) -> TrialParameters:
    """The recipe itself as a point. It is the first trial, which the others must beat."""
    noise = recipe.noise
    return TrialParameters(
        model=model,
        rand_augment_n=noise.rand_augment.n if noise.rand_augment else None,
        rand_augment_m=noise.rand_augment.m if noise.rand_augment else None,
        rand_augment_scale=searched_rand_augment(recipe).scale,
        dropout=noise.dropout,
        drop_path=noise.drop_path,
        unlabeled_ratio=recipe.unlabeled_ratio,
    )


def drawn_parameters(draw: Draw, default: TrialParameters, models: Sequence[str]) -> TrialParameters:
    """The point that a draw stands for. Parameters that were not drawn are the default's."""
    values = default.model_dump() | {name: value for name, value in draw.items() if name != MODEL}
    values["model"] = models[int(draw[MODEL])] if MODEL in draw else (models or [default.model])[0]
    if "rand_augment_n" in draw or "rand_augment_m" in draw:
        # One of the two may be searched with a recipe that has no RandAugment at all.
        usual = RandAugment(scale=default.rand_augment_scale)
        values["rand_augment_n"] = values["rand_augment_n"] or usual.n
        values["rand_augment_m"] = usual.m if values["rand_augment_m"] is None else values["rand_augment_m"]
    return TrialParameters(**values)


def draw_of(parameters: TrialParameters, models: Sequence[str], space: dict[str, BaseDistribution]) -> Draw | None:
    """The draw that stands for a point; None if the point lies outside of the space."""
    values = parameters.model_dump()
    if MODEL in space:
        values[MODEL] = models.index(parameters.model) if parameters.model in models else None
    elif models and parameters.model != models[0]:
        return None
    draw = {name: values[name] for name in space}
    if any(value is None or not space[name]._contains(value) for name, value in draw.items()):
        return None
    return draw


def full_recipe(recipe: Recipe, parameters: TrialParameters) -> Recipe:
    """The recipe of the full training at a point."""
    augment = None
    if parameters.rand_augment_n is not None and parameters.rand_augment_m is not None:
        augment = searched_rand_augment(recipe).model_copy(
            update={
                "scale": parameters.rand_augment_scale,
                "n": parameters.rand_augment_n,
                "m": parameters.rand_augment_m,
            }
        )
    noise = Noise(rand_augment=augment, dropout=parameters.dropout, drop_path=parameters.drop_path)
    return recipe.model_copy(update={"noise": noise, "unlabeled_ratio": parameters.unlabeled_ratio})


def trial_recipe(recipe: Recipe, parameters: TrialParameters, settings: SearchSettings) -> Recipe:
    """The recipe of a trial: the full one, with its steps and everything counted in steps scaled to the budget."""
    full = full_recipe(recipe, parameters)
    steps = trial_steps(recipe, settings)
    return full.model_copy(
        update={
            "steps": steps,
            "schedule": full.schedule.model_copy(
                update={
                    "warmup_steps": min(steps - 1, round(full.warmup_steps * settings.steps_fraction)),
                    "step_every": max(1, round(full.schedule.step_every * settings.steps_fraction)),
                }
            ),
            "validate_every_steps": look_every_steps(steps, settings),
            "checkpoint_every_steps": steps,
            "keep": "last",
            "early_end": None,
            "resolution_step": None,
        }
    )
