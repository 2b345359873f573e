"""The recipe: how a model is trained, and nothing about where."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workers.specs.base import Frozen, field_error
from workers.specs.imbalance import ClassWeights
from workers.specs.initialization import (
    INPUT_FIELDS,
    Deviation,
    Init,
    InputConfiguration,
    Interpolation,
    Mean,
    RandomInit,
)
from workers.specs.noise import Noise
from workers.specs.optimization import MOST_STEPS, EarlyEnd, Mixing, Optimizer, Schedule

_WARMUP_STEPS = 100
_AUTHORS_CROP_PADDING = 32


class ResolutionStep(Frozen):
    """The last phase of training: a few steps at a larger resolution, on labeled images and without input noise.

    Xie et al., section 3.1, "fix train-test resolution discrepancy" (Touvron et al. 2019).
    """

    image_size: int = Field(ge=8, le=2048, description="Height and width in pixels, larger than the recipe's.")
    steps: int = Field(ge=1, le=MOST_STEPS, description="Optimizer steps after the recipe's own.")
    learning_rate: float = Field(default=1e-4, gt=0, le=1e6, description="Initial learning rate; cosine decay to zero.")
    frozen_share: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="Share of the model's parameter tensors, counted from the input, that stay frozen.",
    )


class Recipe(Frozen):
    """How one model is trained.

    The defaults of noise, label smoothing, moving average and targets are the paper's (Xie et al., section 3.1);
    optimizer, schedule, steps and batch size are common choices for a small cluster. The presets (GET /presets) have
    the paper's.
    """

    image_size: int = Field(default=224, ge=8, le=2048, description="Height and width in pixels.")
    mean: tuple[Mean, Mean, Mean] = (0.485, 0.456, 0.406)
    std: tuple[Deviation, Deviation, Deviation] = (0.229, 0.224, 0.225)
    crop: Literal["random_resized", "none"] = Field(
        default="random_resized",
        description="`none` resizes the whole image to image_size, in training too.",
    )
    test_crop_fraction: Annotated[float, Field(gt=0, le=1)] | Literal["authors"] = Field(
        default=0.875,
        description="With a random_resized crop: the share of the resized picture that the centre crop of the finished "
        "model keeps. `authors`: s / (s + 32) at image size s, which is 0.875 at 224 and 0.949 at 600.",
    )
    interpolation: Interpolation = Field(default="bicubic", description="The filter that resizes pictures.")
    horizontal_flip: bool = True
    steps: int = Field(default=100_000, ge=1, le=MOST_STEPS, description="Optimizer steps.")
    batch_size: int = Field(default=64, ge=1, le=1_000_000, description="Labeled images per step, over all workers.")
    unlabeled_ratio: float = Field(
        default=3.0, ge=0, le=64, description="Pseudo-labeled images per labeled image in the batch."
    )
    noise: Noise = Noise()
    mixing: Mixing | None = None
    init: Init = Field(
        default=RandomInit(),
        description="The weights that training begins with: random, the teacher's, pretrained ones, a file's or those "
        "of a model of this service.",
    )
    freeze: Annotated[int, Field(ge=0, le=1000)] | Literal["all_but_the_head"] = Field(
        default=0,
        description="How many of the model's stages stay frozen, counted from the input with its stem as the first "
        "(timm's `group_matcher`); all_but_the_head trains a linear probe. Needs an init that is not random.",
    )
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss_divisor: Literal["all_images", "labeled_images"] = Field(
        default="all_images",
        description="What the sum of the images' losses is divided by. labeled_images: as the authors' code does, so "
        "that the loss of pseudo-labeled images counts unlabeled_ratio times as much.",
    )
    class_weights: ClassWeights = Field(
        default="none",
        description="What a labeled image's loss is multiplied by, from its class's number of labeled images, so that "
        "rare classes count more. Pseudo-labeled images are not weighted: selection balances them.",
    )
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="Applies to labeled images only.")
    targets: Literal["soft", "hard"] = Field(default="soft", description="Form of the pseudo labels as targets.")
    temperature: Annotated[float, Field(gt=0, le=100)] | Literal["fit"] = Field(
        default=1.0,
        description="Temperature of the soft targets; values below 1 sharpen. `fit`: the label stage fits the "
        "teacher's temperature on validation images (Guo et al. 2017), and its labels are the targets.",
    )
    ema_decay: float = Field(
        default=0.9999, ge=0, lt=1, description="Decay of the moving average of the weights, which training keeps."
    )
    sync_batch_norm: bool = Field(
        default=False,
        description="Batch norm uses the statistics of all workers' images (torch.nn.SyncBatchNorm); GPUs only. "
        "False: each worker uses its own images, and the statistics are averaged before each validation "
        "(timm's `--dist-bn reduce`).",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto",
        description="auto: bf16 on GPUs that compute with it (compute capability 8 or more), fp16 with loss scaling "
        "on older ones (7 or more, such as V100 and T4), else fp32. The classifier's head and the loss are always "
        "computed in fp32.",
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="In how many parts each worker processes its share of a step. More parts take less memory; the "
        "gradient is the same, except that batch norm sees one part at a time.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Computes activations again instead of keeping them (Chen et al. 2016)."
    )
    compile: bool = Field(
        default=False, description="Compiles the model with torch.compile; pays off in trainings of many steps."
    )
    validate_every_steps: int = Field(default=1000, ge=1, le=MOST_STEPS)
    checkpoint_every_steps: int = Field(default=1000, ge=1, le=MOST_STEPS)
    keep: Literal["last", "best"] = Field(
        default="last",
        description="Which weights training keeps: the last ones, or the best by accuracy on the validation set, which "
        "is then optimistic.",
    )
    early_end: EarlyEnd | None = None
    resolution_step: ResolutionStep | None = None

    @model_validator(mode="after")
    def _init_names_what_follows_it(self) -> "Recipe":
        """Notes which fields the recipe leaves to the weights: in a stored recipe every field has a value."""
        if not isinstance(self.init, RandomInit) and self.init.follow is None:
            left = tuple(name for name in INPUT_FIELDS if name not in self.model_fields_set)
            self.__dict__["init"] = self.init.following(left)
        return self

    @model_validator(mode="after")
    def _warm_up_ends_before_training(self) -> "Recipe":
        if self.warmup_steps >= self.steps:
            raise field_error("schedule.warmup_steps", f"must be below steps ({self.steps}); it is {self.warmup_steps}")
        return self

    @model_validator(mode="after")
    def _resolution_grows(self) -> "Recipe":
        # A size that follows the weights is not known yet: `followed` comes here again.
        known = isinstance(self.init, RandomInit) or "image_size" not in (self.init.follow or ())
        if known and self.resolution_step is not None and self.resolution_step.image_size <= self.image_size:
            raise field_error(
                "resolution_step.image_size",
                f"must be above image_size ({self.image_size}); it is {self.resolution_step.image_size}",
            )
        return self

    @model_validator(mode="after")
    def _frozen_weights_have_been_trained(self) -> "Recipe":
        if self.freeze != 0 and self.init.kind == "random":
            raise field_error("freeze", "would keep random weights: set init to weights that there are, or freeze to 0")
        if self.mixing is not None and self.mixing.images == "pseudo_labeled" and self.unlabeled_ratio == 0:
            raise field_error("mixing.images", "there are no pseudo-labeled images: unlabeled_ratio is 0")
        return self

    @model_validator(mode="after")
    def _parts_have_images(self) -> "Recipe":
        if self.accumulate > self.batch_size + self.unlabeled_batch_size:
            raise field_error("accumulate", f"a step has only {self.batch_size + self.unlabeled_batch_size} images")
        return self

    def followed(self, configuration: InputConfiguration) -> "Recipe":
        """The recipe with the fields that follow the weights taken from their configuration.

        Raises pydantic's ValidationError if they contradict the other fields.
        """
        if isinstance(self.init, RandomInit) or not self.init.follow:
            return self
        taken: dict[str, object] = {name: getattr(configuration, name) for name in self.init.follow}
        return self.model_copy(update={**taken, "init": self.init.model_copy(update={"follow": ()})})

    @property
    def configuration(self) -> InputConfiguration:
        """How the model sees a picture."""
        return InputConfiguration(
            image_size=self.image_size,
            mean=self.mean,
            std=self.std,
            crop=self.crop,
            test_crop_fraction=self.centre_crop_fraction,
            interpolation=self.interpolation,
        )

    @property
    def warmup_steps(self) -> int:
        """The schedule's warm-up steps; if it names none, 100 or half of the steps, whichever is less."""
        asked = self.schedule.warmup_steps
        return min(_WARMUP_STEPS, self.steps // 2) if asked is None else asked

    @property
    def total_steps(self) -> int:
        """Optimizer steps of both phases."""
        return self.steps + (self.resolution_step.steps if self.resolution_step else 0)

    @property
    def test_image_size(self) -> int:
        """Height and width in pixels at which the finished model is used."""
        return self.resolution_step.image_size if self.resolution_step else self.image_size

    @property
    def centre_crop_fraction(self) -> float:
        """The share of a resized picture that a centre crop keeps at `image_size`."""
        if self.test_crop_fraction == "authors":
            return self.image_size / (self.image_size + _AUTHORS_CROP_PADDING)
        return self.test_crop_fraction

    @property
    def unlabeled_batch_size(self) -> int:
        """Pseudo-labeled images per step, over all workers."""
        return round(self.batch_size * self.unlabeled_ratio)
