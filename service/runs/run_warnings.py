"""Warnings about runs that the checks accept, such as default step counts that take days on CPUs. No I/O."""

from service.config.run import RunConfig
from workers.specs.recipe import Recipe

_MOST_STEPS_ON_CPUS = 10_000
"""On CPUs a step at 224 pixels takes a few seconds, so this many steps take hours."""


def run_warnings(config: RunConfig) -> list[str]:
    """Returns the warnings about a run. Each is a sentence that begins with the field's name."""
    # Where a run leaves GPUs to the cluster, nobody here knows whether it has some: the warning says on CPUs alone.
    if config.resources.train.gpus > 0:
        return []
    recipes = {"teacher_recipe": config.teacher_recipe}
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
