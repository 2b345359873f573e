"""Warnings about runs that the checks accept, such as default step counts that take days on CPUs. No I/O."""

from service.config.run import RunConfig
from workers.specs.recipe import Recipe

_MOST_STEPS_ON_CPUS = 10_000
"""On CPUs a step at 224 pixels takes a few seconds, so this many steps take hours."""
_LEAST_OF_FLEXMATCH = 0.5
"""A most probable class of two has at least this confidence."""


def run_warnings(config: RunConfig) -> list[str]:
    """Returns the warnings about a run. Each is a sentence that begins with the field's name."""
    return [*_of_gate(config), *_of_thresholds(config), *_of_recipes(config)]


def _of_gate(config: RunConfig) -> list[str]:
    if config.gate is None or config.gate.on != "test":
        return []
    return [
        "gate.on: the gate chooses teachers by the test images, so the test accuracy of this run will be optimistic; "
        "`validation` leaves the test images out of every choice"
    ]


def _of_thresholds(config: RunConfig) -> list[str]:
    selections = {"selection": config.selection} if config.generations else {}
    for number, override in config.generation_overrides.items():
        if override.selection is not None:
            selections[f"generation_overrides.{number}.selection"] = override.selection
    return [
        f"{field}.min_confidence: {settings.min_confidence:g} is FlexMatch's highest threshold, so that nearly every "
        "image passes; the paper uses 0.95"
        for field, settings in selections.items()
        if settings.thresholds == "flexmatch" and settings.min_confidence < _LEAST_OF_FLEXMATCH
    ]


def _of_recipes(config: RunConfig) -> list[str]:
    # Where a run leaves GPUs to the cluster, nobody here knows whether it has some: the warning says on CPUs alone.
    if config.resources.train.gpus > 0:
        return []
    recipes = {"teacher_recipe": config.teacher_recipe} if config.teacher is None else {}
    if config.generations:
        recipes["student_recipe"] = config.student_recipe
    for number, override in config.generation_overrides.items():
        if override.recipe is not None:
            recipes[f"generation_overrides.{number}.recipe"] = override.recipe
    return [_of_steps(field, recipe) for field, recipe in recipes.items() if recipe.steps > _MOST_STEPS_ON_CPUS]


def _of_steps(field: str, recipe: Recipe) -> str:
    default = " (the default)" if recipe.steps == Recipe().steps else ""
    return (
        f"{field}.steps: {recipe.steps:,} steps{default} of {recipe.image_size} pixels on CPUs alone may take days or "
        "weeks: give fewer steps, or resources.train.gpus_per_worker"
    )
