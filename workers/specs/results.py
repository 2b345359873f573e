"""Stage results: the JSON that a stage writes last."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from workers.specs.ablation import AblationOutcome
from workers.specs.base import Frozen
from workers.specs.environment import StageEnvironment
from workers.specs.hygiene import BrokenKind
from workers.specs.measure import Measurement
from workers.specs.robustness import RobustnessResult
from workers.specs.search import SearchOutcome


class StageTiming(Frozen):
    """When a stage's process began, and when its real work did (Unix seconds): what is not work is overhead."""

    entered_at: float
    work_started_at: float
    work_ended_at: float


class StageResult(Frozen):
    """What every stage reports."""

    attempt: int
    timing: StageTiming
    environment: StageEnvironment | None = None
    """What the stage ran with; None in results of versions that did not say."""


class TrainResult(StageResult):
    stage: Literal["train"] = "train"
    model_uri: str
    parameters: int
    steps: int
    resumed_from_step: int
    """0 where training was not interrupted."""
    images_seen: int
    final_loss: float
    validation_top1: float
    """Accuracy in 0..1 of the kept (EMA) weights on the validation set."""
    bad_images: int
    train_image_size: int | None = None
    """Of the noisy phase."""
    test_image_size: int | None = None
    """Of the kept model: the resolution step's, where there is one. Labeling and evaluation use it."""


class ReliabilityBin(Frozen):
    """Images whose confidence lies in (lower, upper]."""

    lower: float
    upper: float
    images: int
    accuracy: float | None
    confidence: float | None


class Calibration(Frozen):
    """The teacher's temperature, and how well confidence tells accuracy before and after it."""

    temperature: float
    images: int
    error_before: float
    """Expected calibration error, 15 equal-width bins (Guo et al. 2017)."""
    error_after: float
    loss_before: float
    """Mean negative log-likelihood, which the fit minimises."""
    loss_after: float
    bins_before: tuple[ReliabilityBin, ...]
    bins_after: tuple[ReliabilityBin, ...]


class LabelResult(StageResult):
    stage: Literal["label"] = "label"
    images: int
    labeled: int
    bad_images: int
    shards: int
    shards_resumed: int
    """Shards whose label files an earlier attempt had already written."""
    mean_confidence: float
    images_per_second: float
    """Of the shards labeled in this attempt, over the work time."""
    calibration: Calibration | None = None
    bad_by_kind: dict[BrokenKind, int] = Field(default_factory=dict)
    """Of the bad images; kinds without any are left out."""
    held_out: int = 0
    """Images that are an evaluation image byte for byte; they are never trained on."""
    duplicates: int = 0
    """Images that came before in the pool, byte for byte; listed in duplicates/."""
    near_duplicates: int = 0
    """Images that look like an evaluation image; listed in near_duplicates/ with that image and the distance."""
    near_duplicates_unchecked: tuple[str, ...] = ()
    """Evaluation datasets of too many images to be compared with."""


class ClassSelection(Frozen):
    """One class's numbers before and after selection."""

    name: str
    labeled: int
    confident: int
    kept: int
    """Distinct images kept."""
    copies: int
    """Rows after duplication."""


class SelectResult(StageResult):
    stage: Literal["select"] = "select"
    images_labeled: int
    dropped_bad: int
    dropped_held_out: int
    dropped_near_duplicates: int = 0
    dropped_duplicates: int = 0
    """Both are counted where they are dropped; a row that is both, as a near duplicate."""
    dropped_low_confidence: int
    dropped_over_cap: int
    kept: int
    copies: int
    classes: tuple[ClassSelection, ...]
    training_shards: int | None = None
    """Where the selection is materialised."""
    training_shard_bytes: int | None = None


class Metrics(Frozen):
    """Accuracies are in 0..1. `confusion[i][j]` counts images of true class i predicted as j."""

    images: int
    top1: float
    top5: float
    per_class: dict[str, float | None]
    """None for a class without images."""
    expected_calibration_error: float
    """15 equal-width bins (Guo et al. 2017)."""
    confusion: tuple[tuple[int, ...], ...]


class EvaluateResult(StageResult):
    stage: Literal["evaluate"] = "evaluate"
    metrics: Metrics
    bad_images: int
    pseudo_labels: Metrics | None = None
    robustness: RobustnessResult | None = None
    external: dict[str, Metrics] = Field(default_factory=dict)
    """By the name of the external set; predictions are among its classes."""


class SearchResult(StageResult):
    stage: Literal["search"] = "search"
    outcome: SearchOutcome


class AblateResult(StageResult):
    stage: Literal["ablate"] = "ablate"
    outcome: AblationOutcome


class MeasureResult(StageResult):
    stage: Literal["measure"] = "measure"
    measurement: Measurement


AnyStageResult = Annotated[
    TrainResult | LabelResult | SelectResult | SearchResult | EvaluateResult | AblateResult | MeasureResult,
    Field(discriminator="stage"),
]
STAGE_RESULT: TypeAdapter[AnyStageResult] = TypeAdapter(AnyStageResult)
