"""Writes a run's body from its datasets and the suggested preset, as short as it can be. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.config.presets import Preset
from service.config.presets.suggested import SuggestedPreset
from workers.specs.recipe import Recipe

GENERATIONS = 3
_LOOKS = 20
"""Validations and checkpoints of a training whose steps are not the preset's."""
Body = dict[str, Any]


@dataclass(frozen=True)
class ChosenRun:
    """A run's body, and why its fields have their values: sentences by field."""

    body: Body
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def choose_run(
    name: str,
    datasets: Mapping[str, str],
    suggested: SuggestedPreset,
    found: Preset,
    *,
    model: str | None = None,
    generations: int = GENERATIONS,
    project: str | None = None,
    seed: int = 0,
) -> ChosenRun:
    """The body of a run with the suggested preset, which is `found`. It says only what differs from the preset."""
    chosen = model or suggested.model
    body: Body = {
        "name": name,
        **({"project": project} if project else {}),
        "preset": suggested.preset,
        "datasets": dict(datasets),
        "teacher_model": chosen,
        "student_models": [chosen] if generations else [],
        "generations": generations,
        "seed": seed,
    }
    seen: Body = {}
    if suggested.image_size is not None:
        seen["image_size"] = suggested.image_size
    if suggested.horizontal_flip is not None:
        seen["horizontal_flip"] = suggested.horizontal_flip
    teacher = {**seen, **with_steps(found.teacher_recipe, suggested.teacher_steps)}
    student = {**seen, **with_steps(found.student_recipe, suggested.student_steps)}
    if teacher:
        body["teacher_recipe"] = teacher
    if student and generations:
        body["student_recipe"] = student
    if suggested.min_confidence is not None and generations:
        body["selection"] = {"min_confidence": suggested.min_confidence}
    return ChosenRun(body, {"preset": suggested.reasons})


def with_steps(recipe: Recipe, steps: int) -> Body:
    """What a run says to give the preset's recipe another number of steps; nothing if it is the same.

    The warm-up and the steps of the schedule keep their share of the training.
    """
    if steps == recipe.steps:
        return {}
    share = steps / recipe.steps
    looks = max(1, steps // _LOOKS)
    schedule: Body = {"kind": recipe.schedule.kind, "warmup_steps": min(steps - 1, round(recipe.warmup_steps * share))}
    if recipe.schedule.kind == "step":
        schedule["step_every"] = max(1, round(recipe.schedule.step_every * share))
    return {
        "steps": steps,
        "schedule": schedule,
        "validate_every_steps": looks,
        "checkpoint_every_steps": looks,
    }
