"""Decides what each variant of an ablation trains, and on which selection (Xie et al., section 4). Pure."""

import hashlib
from dataclasses import dataclass

from workers.specs.ablation import VARIANTS, Variant
from workers.specs.initialization import RandomInit, TeacherInit, fits_any_model
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings
from workers.specs.stages import AblateSpec

RATIOS: dict[Variant, float] = {"ratio_1": 1.0, "ratio_3": 3.0, "ratio_7": 7.0}

_NOT_WRITTEN_OUT = {"materialize": None}
"""Training shards for a few short trainings would cost more than they save."""


@dataclass(frozen=True)
class Student:
    """What a variant trains. Variants with the same student share its trainings."""

    model: str
    recipe: Recipe
    selection: SelectionSettings


def students(spec: AblateSpec) -> tuple[dict[Variant, Student], dict[str, str]]:
    """The student of each variant that was asked for, the full one first, and why other variants cannot be trained."""
    asked = [variant for variant in VARIANTS if variant == "full" or variant in spec.settings.variants]
    reasons = {variant: _impossible(spec, variant) for variant in asked}
    impossible: dict[str, str] = {variant: reason for variant, reason in reasons.items() if reason is not None}
    return {variant: _student(spec, variant) for variant in asked if variant not in impossible}, impossible


def same_as(found: dict[Variant, Student]) -> dict[Variant, Variant]:
    """For each variant the first variant with the same student: the variant itself, unless it repeats another."""
    first: dict[str, Variant] = {}
    return {variant: first.setdefault(repr(student), variant) for variant, student in found.items()}


def training_seed(base_seed: int, index: int) -> int:
    """The seed of the index-th training of every variant. Variants are compared at equal seeds."""
    digest = hashlib.blake2b(f"{base_seed}/ablation/{index}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def _impossible(spec: AblateSpec, variant: Variant) -> str | None:
    if variant == "smaller_student" and spec.settings.smaller_student is None:
        return "settings.smaller_student names no model"
    if variant == "teacher_initialisation" and spec.teacher_model != spec.base.model:
        return f"the teacher is a {spec.teacher_model}, the student a {spec.base.model}"
    return None


def _student(spec: AblateSpec, variant: Variant) -> Student:
    recipe, selection = _shortened(spec.base.recipe, spec.settings.steps_fraction), spec.selection.settings
    noise = recipe.noise
    model = spec.base.model
    match variant:
        case "no_rand_augment":
            recipe = recipe.model_copy(update={"noise": noise.model_copy(update={"rand_augment": None})})
        case "no_dropout":
            recipe = recipe.model_copy(update={"noise": noise.model_copy(update={"dropout": 0.0})})
        case "no_drop_path":
            recipe = recipe.model_copy(update={"noise": noise.model_copy(update={"drop_path": 0.0})})
        case "no_noise":
            off = noise.model_copy(update={"rand_augment": None, "dropout": 0.0, "drop_path": 0.0})
            recipe = recipe.model_copy(update={"noise": off})
        case "no_balancing":
            selection = selection.model_copy(update={"max_per_class": None, "fill_up": False, **_NOT_WRITTEN_OUT})
        case "no_filter":
            everything = {"min_confidence": 0.0, "thresholds": "fixed", "share_per_class": 1.0}
            selection = selection.model_copy(update={**everything, **_NOT_WRITTEN_OUT})
        case "hard_labels":
            recipe = recipe.model_copy(update={"targets": "hard"})
        case "smaller_student":
            model = spec.settings.smaller_student or model
            init = recipe.init if fits_any_model(recipe.init) else RandomInit()
            recipe = recipe.model_copy(update={"init": init, "freeze": 0})
        case "teacher_initialisation":
            # The other fields stay, so that the weights alone differ.
            recipe = recipe.model_copy(update={"init": TeacherInit(kind="teacher", follow=())})
        case "random_initialisation":
            recipe = recipe.model_copy(update={"init": RandomInit(), "freeze": 0})
        case "ratio_1" | "ratio_3" | "ratio_7":
            recipe = recipe.model_copy(update={"unlabeled_ratio": RATIOS[variant]})
        case "full":
            pass
    return Student(model, recipe, selection)


def _shortened(recipe: Recipe, fraction: float) -> Recipe:
    """The recipe with its steps, and everything counted in steps, scaled by `fraction`. It validates at the end."""
    steps = max(1, round(recipe.steps * fraction))
    schedule = recipe.schedule.model_copy(
        update={
            "warmup_steps": min(steps - 1, round(recipe.warmup_steps * fraction)),
            "step_every": max(1, round(recipe.schedule.step_every * fraction)),
        }
    )
    total = steps + (recipe.resolution_step.steps if recipe.resolution_step else 0)
    return recipe.model_copy(
        update={
            "steps": steps,
            "schedule": schedule,
            "validate_every_steps": total,
            "checkpoint_every_steps": total,
            "keep": "last",
            "early_end": None,
        }
    )
