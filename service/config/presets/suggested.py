"""Suggests a preset for pictures of a size, a number of labels and a cluster, with the reasons in words. No I/O."""

from pydantic import Field

from service.config.presets.by_name import PresetName, preset
from workers.specs.base import Frozen
from workers.specs.optimization import MOST_STEPS

_SMALL_SIDE = 64
_SMALLER_SIDE = 40
_MANY_LABELS = 500_000
_FEW_LABELS_A_CLASS = 50
_LEAST_STEPS = {"teacher": 400, "student": 200}
"""Of the preset for small pictures. A hundred epochs of some dozen images are too few steps to learn anything."""
_PASSES = 2
"""How often a student should see the pool, within _MOST_GROWTH times the preset's steps."""
_MOST_GROWTH = 5


class SuggestedPreset(Frozen):
    """A preset, what to change in it, and why."""

    preset: PresetName
    model: str = Field(description="The timm model of teacher and students.")
    image_size: int | None = Field(ge=8, le=2048, description="Null: the preset's, or that of its weights.")
    horizontal_flip: bool | None = Field(description="Null: the preset's.")
    teacher_steps: int = Field(ge=1, le=MOST_STEPS)
    student_steps: int = Field(ge=1, le=MOST_STEPS)
    min_confidence: float | None = Field(ge=0, le=1, description="Of `selection`. Null: the preset's.")
    reasons: tuple[str, ...] = Field(description="One sentence each.")


def suggest_preset(
    labeled_images: int,
    picture_side: int | None,
    classes: int,
    gpus: float | None,
    name: PresetName | None = None,
    unlabeled_images: int = 0,
) -> SuggestedPreset:
    """Suggests a preset, or what to change in the one of that name.

    `picture_side` is the usual shorter side of the pictures in pixels, `gpus` the number of GPUs that the cluster has
    or may start; both are None where nobody knows.
    """
    reasons: list[str] = []
    if name is None:
        name, reasons = _chosen(labeled_images, picture_side, gpus)
    found = preset(name, labeled_images)
    teacher_steps, student_steps = found.teacher_recipe.steps, found.student_recipe.steps
    image_size, flip, confidence = None, None, None
    if name == "small-pictures":
        teacher_steps = max(teacher_steps, _LEAST_STEPS["teacher"])
        student_steps = max(student_steps, _LEAST_STEPS["student"])
        if picture_side is not None and picture_side > _SMALLER_SIDE:
            image_size = _SMALL_SIDE
            reasons.append(f"pictures are read at {_SMALL_SIDE} px, not at the preset's 32, which would lose too much")
        if picture_side is not None and picture_side > _SMALL_SIDE:
            flip = True
            reasons.append("pictures of this size are taken for photographs, whose mirror images are as good")
        if labeled_images < _FEW_LABELS_A_CLASS * classes:
            confidence = 0.5
            reasons.append(
                f"fewer than {_FEW_LABELS_A_CLASS} labeled images a class make an unsure teacher: pseudo labels count "
                "from a confidence of 0.5, not 0.8"
            )
    student = found.student_recipe.unlabeled_batch_size
    wanted = min(_MOST_GROWTH * student_steps, -(-_PASSES * unlabeled_images // max(1, student)))
    if wanted > student_steps:
        student_steps = wanted
        reasons.append(
            f"students take {student_steps:,} steps to see more of the {unlabeled_images:,} unlabeled images"
        )
    return SuggestedPreset(
        preset=name,
        model=found.model,
        image_size=image_size,
        horizontal_flip=flip,
        teacher_steps=teacher_steps,
        student_steps=student_steps,
        min_confidence=confidence,
        reasons=tuple(reasons),
    )


def _chosen(labeled_images: int, picture_side: int | None, gpus: float | None) -> tuple[PresetName, list[str]]:
    large = picture_side is None or picture_side > _SMALL_SIDE
    size = "pictures of unknown size" if picture_side is None else f"pictures of some {picture_side} px"
    if not large:
        return "small-pictures", [f"{size} need no large model: small-pictures trains a small one from random weights"]
    if not gpus:
        why = "the cluster has no GPU" if gpus is not None else "nobody knows whether the cluster has GPUs"
        return "small-pictures", [
            f"{size} would suit fine-tune, but {why}, and on CPUs it takes days: small-pictures trains a small model "
            "from random weights on shrunken pictures; --preset fine-tune insists"
        ]
    if labeled_images >= _MANY_LABELS:
        return "paper-b0", [f"{labeled_images:,} labeled images are enough to train as the paper does, from nothing"]
    return "fine-tune", [
        f"{labeled_images:,} labeled images are few for {size}: fine-tune begins with timm's pretrained weights"
    ]
