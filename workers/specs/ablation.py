"""An ablation: a student is trained again without each part of the method in turn (Xie et al., section 4, table 6)."""

from typing import Literal, get_args

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.hygiene import JudgedOn
from workers.specs.text import ModelName

ABLATION_FILE = "ablation.json"
Variant = Literal[
    "full",
    "no_rand_augment",
    "no_dropout",
    "no_drop_path",
    "no_noise",
    "no_balancing",
    "no_filter",
    "hard_labels",
    "teacher_initialisation",
    "random_initialisation",
    "smaller_student",
    "ratio_1",
    "ratio_3",
    "ratio_7",
]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


class AblationSettings(Frozen):
    """Which variants an ablation trains, how often, and for how many steps."""

    variants: tuple[Variant, ...] = Field(
        default=VARIANTS, min_length=1, max_length=len(VARIANTS), description="Always includes the full student."
    )
    seeds: int = Field(default=3, ge=1, le=100, description="Trainings of each variant.")
    on: JudgedOn = Field(
        default="validation",
        description="The images on which the students are compared. A choice by a table of `test` makes the test "
        "accuracy of what was chosen optimistic.",
    )
    steps_fraction: float = Field(default=1.0, gt=0, le=1, description="Share of the recipe's steps.")
    smaller_student: ModelName | None = Field(
        default=None, description="The timm model of that variant; null leaves the variant out."
    )
    max_parallel: int | None = Field(
        default=None, ge=1, le=100_000, description="Concurrent trainings; null: as many as the cluster allows."
    )


class AblationTraining(Frozen):
    """One training of one variant."""

    variant: Variant
    seed: int
    state: Literal["running", "finished", "failed"]
    top1: float | None = None
    """Accuracy in 0..1 on the images that `AblationSettings.on` names."""
    seconds: float = 0.0
    message: str | None = None


class AblationTrainings(Frozen):
    """ablation.json: the state of all trainings. Each change rewrites it, and a later attempt continues from it."""

    attempt: int
    trainings: tuple[AblationTraining, ...]


class AblationLine(Frozen):
    """One line of the table, averaged over the seeds that finished. Errors are shares of the images, in 0..1."""

    variant: Variant
    model: str
    same_as: Variant | None
    """The variant whose trainings this line uses, because both ask for the same student."""
    seeds: int
    error: float
    error_deviation: float | None
    error_change: float
    """This error minus that of the full student with the same seed, as the mean over seeds."""
    error_change_deviation: float | None


class AblationOutcome(Frozen):
    """The ablation's table and the trainings behind it."""

    on: JudgedOn
    """The images on which all errors were measured."""
    teacher_error: float | None
    """The teacher's error on the same images, as its generation measured it."""
    lines: tuple[AblationLine, ...]
    left_out: dict[str, str]
    """Variants that could not be trained, and why."""
    trainings: tuple[AblationTraining, ...]
