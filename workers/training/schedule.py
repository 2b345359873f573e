"""Learning-rate schedules as pure functions of the step."""

import math

from workers.specs.recipe import Recipe


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """The factor of the base learning rate at `step` (counted from 0) of the recipe's steps, in (0, 1]."""
    schedule, warmup_steps = recipe.schedule, recipe.warmup_steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule.kind == "step":
        return float(schedule.step_factor ** ((step - warmup_steps) // schedule.step_every))
    share = (step - warmup_steps) / max(1, recipe.steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * share))
