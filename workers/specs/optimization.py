"""The part of a recipe that says how weights are changed: optimizer, schedule, mixing of images, when to stop."""

from math import sqrt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workers.specs.base import Frozen, field_error

MOST_STEPS = 1_000_000_000

OptimizerName = Literal["adamw", "sgd", "momentum", "rmsproptf", "lamb", "lion", "nadamw"]
Beta = Annotated[float, Field(ge=0, lt=1)]

_WITH_EPSILON = ("adamw", "rmsproptf", "lamb", "nadamw")
_WITH_BETAS = ("adamw", "lamb", "lion", "nadamw")


class Optimizer(Frozen):
    """An optimizer of timm's factory (huggingface.co/docs/timm, `create_optimizer_v2`).

    Weight decay applies to matrices and kernels only: not to biases, normalization weights, position embeddings and
    what the model's `no_weight_decay()` names.
    """

    name: OptimizerName = Field(
        default="adamw",
        description="adamw (Loshchilov and Hutter 2019), sgd with Nesterov momentum, momentum without Nesterov's, "
        "rmsproptf (RMSProp as in TensorFlow, which the authors use), lamb (You et al. 2020), lion (Chen et al. 2023), "
        "nadamw.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1e6)
    scale_learning_rate: Literal["no", "linear", "square_root"] = Field(
        default="no",
        description="Multiplies learning_rate by batch_size / base_batch_size (Goyal et al. 2017), or by its square "
        "root (Krizhevsky 2014), which suits adaptive optimizers.",
    )
    base_batch_size: int = Field(
        default=256, ge=1, le=1_000_000, description="The labeled batch size that learning_rate is meant for."
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Factor of the learning rate from each layer to the one before it (Clark et al. 2020).",
    )
    weight_decay: float = Field(
        default=0.05,
        ge=0,
        le=1e6,
        description="Decoupled from the gradient for adamw, lamb, lion and nadamw; added to it (L2) otherwise.",
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="For sgd, momentum and rmsproptf.")
    squared_decay: float = Field(
        default=0.9, ge=0, lt=1, description="Decay of the mean of squared gradients; rmsproptf only."
    )
    epsilon: float | None = Field(
        default=None, gt=0, le=1, description="Added to the denominator. Null: the optimizer's own default."
    )
    betas: tuple[Beta, Beta] | None = Field(default=None, description="Null: the optimizer's own default.")
    clip_gradient_norm: float | None = Field(default=None, gt=0, le=1e9)

    @model_validator(mode="after")
    def _settings_are_of_this_optimizer(self) -> "Optimizer":
        if self.epsilon is not None and self.name not in _WITH_EPSILON:
            raise field_error("epsilon", f"{self.name} has none; it is for {', '.join(_WITH_EPSILON)}")
        if self.betas is not None and self.name not in _WITH_BETAS:
            raise field_error("betas", f"{self.name} has none; they are for {', '.join(_WITH_BETAS)}")
        if "squared_decay" in self.model_fields_set and self.squared_decay != 0.9 and self.name != "rmsproptf":
            raise field_error("squared_decay", f"{self.name} has none; it is for rmsproptf")
        return self

    def peak_learning_rate(self, batch_size: int) -> float:
        """The learning rate after the warm-up, with `batch_size` labeled images a step over all workers."""
        ratio = batch_size / self.base_batch_size
        factor = {"no": 1.0, "linear": ratio, "square_root": sqrt(ratio)}[self.scale_learning_rate]
        return self.learning_rate * factor


class Schedule(Frozen):
    """A linear warm-up, then one of timm's schedules, counted in optimizer steps (`timm.scheduler`)."""

    kind: Literal["cosine", "step", "tanh", "poly"] = Field(
        default="cosine",
        description="cosine (Loshchilov and Hutter 2017), tanh (Hsu et al. 2019) and poly fall to final_share; step "
        "multiplies by step_factor every step_every steps.",
    )
    warmup_steps: int | None = Field(
        default=None, ge=0, le=MOST_STEPS, description="Null: 100, or half of the steps if that is less."
    )
    decay_from: Literal["end_of_warmup", "start"] = Field(
        default="end_of_warmup",
        description="From which step the decay is counted. start: as the authors' code does.",
    )
    step_every: int = Field(default=1000, ge=1, le=MOST_STEPS)
    step_factor: float = Field(default=0.97, gt=0, le=1)
    power: float = Field(default=1.0, gt=0, le=10, description="Exponent of poly; 1 is a line.")
    final_share: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the learning rate at which cosine, tanh and poly end."
    )

    @model_validator(mode="after")
    def _settings_are_of_this_kind(self) -> "Schedule":
        if self.power != 1.0 and self.kind != "poly":
            raise field_error("power", f"{self.kind} has none; it is for poly")
        if self.final_share and self.kind == "step":
            raise field_error("final_share", "step has none: it falls by step_factor every step_every steps")
        return self


class Mixing(Frozen):
    """Mixes images of a batch in pairs, and their targets alike: mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019).

    Labeled images are mixed with labeled ones, and pseudo-labeled images with pseudo-labeled ones.
    """

    images: Literal["labeled", "pseudo_labeled", "both"] = Field(default="both", description="Which images are mixed.")
    mixup_alpha: float = Field(
        default=0.8, ge=0, le=100, description="The share of an image is drawn from Beta(alpha, alpha). 0: no mixup."
    )
    cutmix_alpha: float = Field(default=1.0, ge=0, le=100, description="The same for CutMix. 0: no CutMix.")
    probability: float = Field(default=1.0, gt=0, le=1, description="Probability that a step's images are mixed.")
    cutmix_probability: float = Field(
        default=0.5, ge=0, le=1, description="Probability of CutMix instead of mixup, if there are both."
    )

    @model_validator(mode="after")
    def _something_is_mixed(self) -> "Mixing":
        if self.mixup_alpha == 0 and self.cutmix_alpha == 0:
            raise field_error("mixup_alpha", "mixes nothing if cutmix_alpha is 0 too; set mixing to null instead")
        return self


class EarlyEnd(Frozen):
    """Ends training when validation has not become better for a while (Prechelt 1998)."""

    patience: int = Field(
        ge=1, le=1_000_000, description="Validations in a row without a gain after which training ends."
    )
    least_gain: float = Field(
        default=0.0, ge=0, lt=1, description="Top-1 accuracy, in 0..1, must exceed the best before by more than this."
    )
