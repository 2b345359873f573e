"""Recipes by name, each with its source. A run says `preset`, and its own fields override the preset's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from workers.specs.base import Frozen
from workers.specs.initialization import PretrainedInit, TeacherInit
from workers.specs.noise import Noise, RandAugment
from workers.specs.optimization import MOST_STEPS, Optimizer, Schedule
from workers.specs.recipe import Recipe, ResolutionStep
from workers.specs.selection import SelectionSettings

PresetName = Literal[
    "paper-b0",
    "paper-b1",
    "paper-b2",
    "paper-b3",
    "paper-b4",
    "paper-b5",
    "paper-b6",
    "paper-b7",
    "paper-l2",
    "small-pictures",
    "fine-tune",
]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)
IMAGENET_IMAGES = 1_281_167

_PAPER = (
    "Xie et al. 2019, section 3.1 and appendix A.1; scripts and main.py of google-research/noisystudent. Weight decay "
    "spares biases too, which the authors' code decays."
)
_LABELED_BATCH = 2048
_LOOKS = 100
"""Validations and checkpoints of a training."""


class Preset(Frozen):
    """A preset for a labeled set of a certain size."""

    name: PresetName
    description: str
    source: str
    """The paper, code or measurement that the values are from."""
    model: str
    """The timm model that the values are for."""
    teacher_recipe: Recipe
    student_recipe: Recipe
    selection: SelectionSettings


@dataclass(frozen=True)
class _Paper:
    """What differs between the paper's models: the image's size, RandAugment's m, unlabeled images per labeled one."""

    image_size: int
    m: int | None
    ratio: float
    epochs: int


# Smaller models than B5 train for twice as many epochs: the scripts' train_ratio is 2.
_MODELS: Mapping[str, _Paper] = {
    "b0": _Paper(224, None, 1, 700),
    "b1": _Paper(240, None, 3, 700),
    "b2": _Paper(260, 6, 3, 700),
    "b3": _Paper(300, 12, 3, 700),
    "b4": _Paper(380, 15, 3, 700),
    "b5": _Paper(456, 18, 3, 350),
    "b6": _Paper(528, 24, 3, 350),
    "b7": _Paper(600, 27, 3, 350),
    "l2": _Paper(475, 27, 14, 350),
}


def preset(name: PresetName, labeled_images: int = IMAGENET_IMAGES, batch_size: int | None = None) -> Preset:
    """The preset for a labeled set of that size, from which the number of steps follows.

    `batch_size` is the labeled batch; by default the preset's own.
    """
    if name == "small-pictures":
        return _small_pictures(labeled_images, batch_size or 32)
    if name == "fine-tune":
        return _fine_tune(labeled_images, batch_size or 64)
    return _paper(name, labeled_images, batch_size or _LABELED_BATCH)


def with_overrides(recipe: Recipe, own: Recipe) -> Recipe:
    """The preset's recipe with the fields that a run sets itself. Raises pydantic's ValidationError."""
    together = _merged(recipe.model_dump(exclude_unset=True), own.model_dump(exclude_unset=True))
    if "init" in own.model_fields_set:
        together["init"] = own.init.model_dump(exclude_unset=True)  # one kind's fields are not another's
    return Recipe.model_validate(together)


def _merged(values: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    together = dict(values)
    for name, value in own.items():
        before = together.get(name)
        together[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return together


def _paper(name: PresetName, labeled_images: int, batch_size: int) -> Preset:
    size = name.removeprefix("paper-")
    model = _MODELS[size]
    epoch = labeled_images / batch_size
    steps = _steps(model.epochs * epoch)
    student = Recipe(
        image_size=model.image_size,
        steps=steps,
        batch_size=batch_size,
        unlabeled_ratio=model.ratio,
        noise=Noise(
            rand_augment=None if model.m is None else RandAugment(scale="authors", n=2, m=model.m),
            dropout=0.5,
            drop_path=0.2,
        ),
        optimizer=Optimizer(
            name="rmsproptf",
            learning_rate=0.128,
            scale_learning_rate="linear",
            base_batch_size=_LABELED_BATCH,
            weight_decay=1e-5,
            momentum=0.9,
            squared_decay=0.9,
            epsilon=1e-3,
        ),
        schedule=Schedule(
            kind="step",
            warmup_steps=min(steps - 1, round(5 * epoch)),
            decay_from="start",
            step_every=_steps(2.4 * model.epochs / 350 * epoch),
            step_factor=0.97,
        ),
        loss_divisor="labeled_images",
        label_smoothing=0.1,
        ema_decay=0.9999,
        validate_every_steps=max(1, steps // _LOOKS),
        checkpoint_every_steps=max(1, steps // _LOOKS),
        # "Fix train-test resolution discrepancy": 1.5 epochs on labeled images without noise.
        resolution_step=ResolutionStep(image_size=800, steps=_steps(1.5 * epoch)) if size == "l2" else None,
    )
    return Preset(
        name=name,
        description=f"EfficientNet-{size.upper()} as in the paper: {model.epochs} epochs of the labeled images.",
        source=_PAPER,
        model=f"tf_efficientnet_{size}",
        teacher_recipe=student.model_copy(update={"unlabeled_ratio": 0.0}),
        student_recipe=student,
        selection=SelectionSettings(min_confidence=0.3, max_per_class=130_000, fill_up=True),
    )


def _small_pictures(labeled_images: int, batch_size: int) -> Preset:
    epoch = labeled_images / batch_size
    student = Recipe(
        image_size=32,
        crop="none",
        horizontal_flip=False,
        batch_size=batch_size,
        unlabeled_ratio=3,
        noise=Noise(rand_augment=RandAugment(scale="torchvision", n=2, m=9), dropout=0.3, drop_path=0.1),
        optimizer=Optimizer(name="adamw", learning_rate=3e-3, weight_decay=0.05),
        temperature=0.5,
        ema_decay=0.998,
    )
    return Preset(
        name="small-pictures",
        description="Pictures of 28 to 64 pixels, such as digits, on a few cores: 100 epochs, and 33 for students.",
        source="The recipe of this project's demo, chosen on validation images of the digits (benchmarks/RESULTS.md).",
        model="test_resnet",
        teacher_recipe=_for_epochs(student, 100, epoch).model_copy(update={"unlabeled_ratio": 0.0, "temperature": 1.0}),
        student_recipe=_for_epochs(student, 33, epoch),
        selection=SelectionSettings(min_confidence=0.8),
    )


def _fine_tune(labeled_images: int, batch_size: int) -> Preset:
    epoch = labeled_images / batch_size
    teacher = Recipe(
        batch_size=batch_size,
        unlabeled_ratio=0,
        noise=Noise(rand_augment=RandAugment(scale="torchvision", n=2, m=9), dropout=0.0, drop_path=0.1),
        init=PretrainedInit(kind="pretrained"),
        optimizer=Optimizer(name="adamw", learning_rate=1e-4, weight_decay=0.05, layer_decay=0.75),
    )
    student = teacher.model_copy(
        update={
            "unlabeled_ratio": 3.0,
            "init": TeacherInit(kind="teacher"),
            "keep": "best",
        }
    )
    return Preset(
        name="fine-tune",
        description="The teacher begins with timm's pretrained weights, students with their teacher's; the first "
        "layers change least. 30 epochs each.",
        source="Layer decay: Clark et al. 2020 (ELECTRA) and Bao et al. 2021 (BEiT, appendix on fine-tuning). Untested "
        "against the paper's way, in which students from scratch are better (appendix A.2).",
        model="resnet50",
        teacher_recipe=_for_epochs(teacher, 30, epoch),
        student_recipe=_for_epochs(student, 30, epoch),
        selection=SelectionSettings(),
    )


def _for_epochs(recipe: Recipe, epochs: int, epoch: float) -> Recipe:
    steps = _steps(epochs * epoch)
    looks = {name: max(1, steps // _LOOKS) for name in ("validate_every_steps", "checkpoint_every_steps")}
    schedule = Schedule(kind="cosine", warmup_steps=min(steps - 1, round(epochs * epoch / 20)))
    return recipe.model_copy(update={"steps": steps, "schedule": schedule, **looks})


def _steps(number: float) -> int:
    return min(MOST_STEPS, max(1, round(number)))
