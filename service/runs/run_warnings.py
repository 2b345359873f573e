"""What is worth a word about a run that is not refused: what defaults mean on what it asks of the cluster. Pure."""

from service.config.run import RunConfig
from workers.specs.recipe import Recipe

_MOST_STEPS_ON_CPUS = 10_000
"""At some seconds a step of 224 pixels: hours."""


def run_warnings(config: RunConfig) -> list[str]:
    """A sentence each, beginning with the field."""
    if config.resources.train.gpus_per_worker > 0:
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
