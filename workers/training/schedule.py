"""Learning-rate schedules as pure functions of the step."""

import math

from workers.specs.recipe import Schedule


def learning_rate_factor(step: int, steps: int, schedule: Schedule) -> float:
    """What the base learning rate is multiplied with at `step` (0-based) of `steps`: in (0, 1]."""
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    if schedule.kind == "step":
        return float(schedule.step_factor ** ((step - schedule.warmup_steps) // schedule.step_every))
    share = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * share))
