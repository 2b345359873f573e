"""A search over the noise and the student's size: its space, its budget and its trials."""

from typing import Literal

from pydantic import Field, model_validator

from workers.specs.base import Frozen, field_error
from workers.specs.noise import HIGHEST_MAGNITUDE, Noise, RandAugment, RandAugmentScale
from workers.specs.recipe import Recipe
from workers.specs.text import ModelName

TRIALS_FILE = "trials.json"
HEAT_MAP_FILE = "rand_augment.svg"
COST_FILE = "accuracy_by_cost.svg"
TrialState = Literal["running", "finished", "pruned", "failed"]


class IntRange(Frozen):
    """Whole numbers from `low` to `high`, both included."""

    low: int = Field(ge=0, le=1000)
    high: int = Field(ge=0, le=1000)
    step: int = Field(default=1, ge=1, le=1000)

    @model_validator(mode="after")
    def _not_empty(self) -> "IntRange":
        if self.high < self.low:
            raise field_error("high", f"must not be below low ({self.low}); it is {self.high}")
        return self


class FloatRange(Frozen):
    """Numbers from `low` to `high`."""

    low: float = Field(ge=0, le=1000)
    high: float = Field(ge=0, le=1000)

    @model_validator(mode="after")
    def _not_empty(self) -> "FloatRange":
        if self.high < self.low:
            raise field_error("high", f"must not be below low ({self.low}); it is {self.high}")
        return self


class SearchSpace(Frozen):
    """The search space. Null or empty values stay as in the recipe."""

    rand_augment_n: IntRange | None = IntRange(low=1, high=3)
    rand_augment_m: IntRange | None = Field(
        default=IntRange(low=0, high=30, step=3),
        description="On the scale of the recipe's RandAugment, and within it: timm's ends at 10, torchvision's at 30.",
    )
    models: tuple[ModelName, ...] = Field(default=(), max_length=1000, description="timm model names.")
    family: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A pattern of timm model names, such as efficientnet_b[0-4]; all matches are searched.",
    )
    dropout: FloatRange | None = None
    drop_path: FloatRange | None = None
    unlabeled_ratio: FloatRange | None = None

    @model_validator(mode="after")
    def _within_what_a_recipe_allows(self) -> "SearchSpace":
        for name, lowest, highest in _BOUNDS:
            asked: IntRange | FloatRange | None = getattr(self, name)
            if asked is not None and (asked.low < lowest or asked.high > highest):
                raise field_error(name, f"must lie within {lowest} and {highest}; it is {asked.low} to {asked.high}")
        if self.family is not None and self.models:
            raise field_error("family", "is another way to say models: give one of them")
        return self


_BOUNDS = (
    ("rand_augment_n", 1, 8),
    ("rand_augment_m", 0, HIGHEST_MAGNITUDE["authors"]),
    ("dropout", 0, 0.99),
    ("drop_path", 0, 0.99),
    ("unlabeled_ratio", 0, 64),
)


class EarlyStopping(Frozen):
    """Asynchronous successive halving over steps (Li et al. 2018)."""

    reduction_factor: int = Field(
        default=3, ge=2, le=16, description="At each rung, one in this many trials continues."
    )
    first_rung: float = Field(default=1 / 9, gt=0, lt=1, description="Share of a trial's steps before the first cut.")
    max_steps_share: float = Field(
        default=0.45,
        gt=0,
        le=1,
        description="Share of all full trials' steps that the search may use. Beyond it, no trial continues past a "
        "rung. The recipe itself, every trial's first rung, and two full trials are always granted.",
    )


class SearchSettings(Frozen):
    """How a search trains its trials: with the code of the train stage, on a share of its steps and pseudo labels."""

    space: SearchSpace = SearchSpace()
    trials: int = Field(default=16, ge=1, le=10_000)
    steps_fraction: float = Field(default=0.25, gt=0, le=1, description="Share of the recipe's steps in a full trial.")
    pool_fraction: float = Field(default=1.0, gt=0, le=1, description="Share of the pseudo-labeled images in a trial.")
    early_stopping: EarlyStopping | None = EarlyStopping()
    objective: Literal["accuracy", "corrupted_accuracy"] = Field(
        default="accuracy", description="Measured on the validation set: clean, or each image under its own corruption."
    )
    max_parameters: int | None = Field(default=None, ge=1, le=10**15, description="Exclude larger students.")
    max_multiply_adds: int | None = Field(
        default=None, ge=1, le=10**18, description="Exclude students that need more per image."
    )
    max_parallel: int | None = Field(
        default=None, ge=1, le=100_000, description="Concurrent trials; null: as many as the cluster allows."
    )
    workers_per_trial: int = Field(default=1, ge=1, le=100_000)

    @model_validator(mode="after")
    def _something_to_search(self) -> "SearchSettings":
        space = self.space
        ranges = (getattr(space, name) for name, _, _ in _BOUNDS)
        if all(asked is None for asked in ranges) and not space.models and space.family is None:
            raise field_error("space", "has nothing to search")
        return self


class TrialParameters(Frozen):
    """One point of the search space. Values that are not searched are the recipe's."""

    model: str
    rand_augment_n: int | None
    rand_augment_m: int | None
    rand_augment_scale: RandAugmentScale = "torchvision"
    """Where m is defined. Trials of before there was more than one scale do not say it."""
    dropout: float
    drop_path: float
    unlabeled_ratio: float


class TrialPoint(Frozen):
    """One look at the validation set, that is, one measurement on it."""

    step: int
    objective: float
    validation_top1: float


class Trial(Frozen):
    number: int
    state: TrialState
    parameters: TrialParameters
    curve: tuple[TrialPoint, ...] = ()
    model_parameters: int
    multiply_adds: int
    steps: int = 0
    """Optimizer steps taken so far."""
    seconds: float = 0.0
    message: str | None = None
    """Why the trial failed; None if it did not."""

    @property
    def objective(self) -> float | None:
        """The objective at the latest look; None before the first."""
        return self.curve[-1].objective if self.curve else None


class Trials(Frozen):
    """trials.json: the state of all trials. Each change rewrites it, and a resumed search continues from it."""

    attempt: int
    trials: tuple[Trial, ...]


class ExcludedModel(Frozen):
    """A model of the search space that exceeds a limit, so that no trial uses it."""

    model: str
    model_parameters: int
    multiply_adds: int
    reason: str


class SearchOutcome(Frozen):
    """The outcome of a search: the winner, its recipe, and all trials."""

    trials: tuple[Trial, ...]
    best_trial: int
    model: str
    recipe: Recipe
    """The recipe of the full training with the winner's noise."""
    steps_run: int
    steps_of_full_trials: int
    pareto_front: tuple[int, ...]
    """Numbers of the trials that no other trial beats in both objective and multiply-adds, cheapest first."""
    excluded_models: tuple[ExcludedModel, ...]


def searched_rand_augment(recipe: Recipe) -> RandAugment:
    """The RandAugment whose n and m a search varies: the recipe's own, or else the one that recipes have by default."""
    return recipe.noise.rand_augment or Noise().rand_augment or RandAugment()


def trial_steps(recipe: Recipe, settings: SearchSettings) -> int:
    """Optimizer steps of a trial that is not stopped early."""
    return max(1, round(recipe.steps * settings.steps_fraction))


def most_steps(trials: int, steps: int, first_rung: int, max_share: float) -> float:
    """How many optimizer steps all trials together may take, when a full trial takes `steps`.

    This is `max_share` of the steps of full trials, but always enough for the recipe itself, the first rung of every
    trial, and two full trials.
    """
    always = steps + trials * first_rung + min(2, trials) * steps
    return max(max_share * trials * steps, always)


def look_every_steps(steps: int, settings: SearchSettings) -> int:
    """How many steps apart a trial measures on the validation set: at the first rung and its multiples."""
    stopping = settings.early_stopping
    return max(1, round(steps * stopping.first_rung)) if stopping else max(1, steps // 4)
