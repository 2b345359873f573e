"""Stage results: the JSON that each stage writes last."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from workers.specs.ablation import AblationOutcome
from workers.specs.base import Frozen
from workers.specs.devices import Devices
from workers.specs.environment import StageEnvironment
from workers.specs.hygiene import BrokenKind, LeakageCheck
from workers.specs.initialization import InitialWeightsReport
from workers.specs.labeling import LabeledBy, Views
from workers.specs.measure import Measurement
from workers.specs.prediction import PredictionOutcome
from workers.specs.registration import ModelCheck
from workers.specs.review import MarksApplied
from workers.specs.robustness import RobustnessResult
from workers.specs.search import SearchOutcome


class StageTiming(Frozen):
    """When a stage's process began, and when its work began and ended (Unix seconds). The rest is overhead."""

    entered_at: float
    work_started_at: float
    work_ended_at: float


class StageResult(Frozen):
    """The fields that all results share."""

    attempt: int
    timing: StageTiming
    environment: StageEnvironment | None = None
    """The software that the stage ran with; None in results of versions that did not record it."""
    devices: Devices | None = None
    """What the attempt is charged for, as its driver decided; None in results of versions that did not record it."""


class TrainResult(StageResult):
    stage: Literal["train"] = "train"
    model_uri: str
    parameters: int
    steps: int
    resumed_from_step: int
    """The step from which the attempt resumed; 0 if training was not interrupted."""
    images_seen: int
    final_loss: float
    validation_top1: float
    """Accuracy of the moving average of the weights on the validation set, in 0..1."""
    bad_images: int
    train_image_size: int | None = None
    """Height and width in pixels in the noisy phase."""
    test_image_size: int | None = None
    """Height and width in pixels at which the model is used: the resolution step's, if there was one."""
    initial_weights: InitialWeightsReport | None = None
    """What the training began with, tensor by tensor; None: random weights, or a version that did not record it."""
    labeled_near_duplicates: int | None = None
    """Labeled images that look like a validation, test or external image: near_duplicates/ lists them. They are
    trained on. None where nothing was compared: in later generations, and if the run looks for no near duplicates."""


class ReliabilityBin(Frozen):
    """The images whose confidence lies in (lower, upper]. Without images, accuracy and confidence are None."""

    lower: float
    upper: float
    images: int
    accuracy: float | None
    confidence: float | None


class Calibration(Frozen):
    """The teacher's fitted temperature, and how well its confidence predicts accuracy before and after the fit."""

    temperature: float
    images: int
    error_before: float
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    error_after: float
    loss_before: float
    """Mean negative log-likelihood, which the fit minimizes."""
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
    dataset_id: str | None = None  # here and in the next field None in results of earlier versions
    labeled_by: LabeledBy | None = None
    images_reused: int = 0
    """Images whose labels were taken over from earlier label stages, and not made again."""
    shards_reused: int = 0
    imported_labels: int | None = None
    """How many labels the imported table has; None if the teachers labeled."""
    imported_unknown: int = 0
    """Imported labels whose keys or URIs the pool lacks."""
    without_label: int = 0
    """Images for which the imported table has no label. Training never uses them."""
    reused_from: tuple[str, ...] = ()
    """The generations whose label stages made the labels that were taken over."""
    mean_confidence: float
    images_per_second: float
    """The images of the shards that this attempt labeled, divided by its work time."""
    calibration: Calibration | None = None
    views: Views = Views()
    """The views of each image whose mean is its label; results of earlier versions had one."""
    further_teachers: tuple[str, ...] = ()
    """The ids of the models beside the generation's teacher whose mean is the label."""
    bad_by_kind: dict[BrokenKind, int] = Field(default_factory=dict)
    """How many bad images are of each kind. Kinds without images are left out."""
    held_out: int = 0
    """Images that equal a validation, test or external image, byte for byte. Training never uses them."""
    duplicates: int = 0
    """Images that equal an earlier image of the pool, byte for byte. duplicates/ lists them."""
    near_duplicates: int = 0
    """Images that look like an evaluation image. near_duplicates/ lists them with that image and the distance."""
    near_duplicates_unchecked: tuple[str, ...] = ()
    """Evaluation datasets that were compared byte for byte only: all of them, if the run looks for no near duplicates.
    In results of earlier versions, those with too many images."""
    without_look: int = 0
    """Readable images of the pool that are too flat to be told from others: they were compared byte for byte only."""
    leakage: LeakageCheck | None = None
    """What the pool was compared with, and whether its near duplicates are dropped by default; None in results of
    earlier versions, and without evaluation images."""


class ClassSelection(Frozen):
    """How many images of one class there are before and after selection."""

    name: str
    labeled: int
    confident: int
    kept: int
    """Distinct images that are kept."""
    copies: int
    """Images after duplication."""
    threshold: float | None = None
    """The confidence that the class's images need; None if it is min_confidence for every class."""
    predicted_share: float | None = None
    """The mean probability that the teacher gives the class, here and below among the rows that may be learned from;
    None unless labels are aligned or thresholds are FreeMatch's."""
    target_share: float | None = None
    """The share that the class should have, here and below None unless labels are aligned."""
    aligned_share: float | None = None
    """The mean probability of the class after alignment."""


class SelectResult(StageResult):
    stage: Literal["select"] = "select"
    images_labeled: int
    dropped_bad: int
    dropped_held_out: int
    dropped_without_label: int = 0  # images for which the imported labels have none
    dropped_near_duplicates: int = 0
    dropped_duplicates: int = 0
    """Near duplicates and duplicates are counted if they are dropped. A row that is both counts as a near duplicate."""
    marks: MarksApplied | None = None
    """What was made of people's marks; None if nobody had marked a label."""
    near_duplicates: Literal["keep", "drop"] | None = None
    """What was done with near duplicates of evaluation images; None in results of earlier versions."""
    dropped_low_confidence: int
    dropped_over_cap: int
    kept: int
    copies: int
    classes_not_filled_up: int = 0
    """Classes that stay smaller than the others, because no image is repeated more than max_copies_per_image times."""
    copies_lacking: int = 0
    """How many rows these classes lack together."""
    lowest_threshold: float | None = None
    """The confidence that the images of the easiest class to pass need; None if min_confidence holds for every class,
    and in results of earlier versions."""
    highest_threshold: float | None = None
    distance_before_alignment: float | None = None
    """How far the mean prediction is from the target shares: the total variation distance, half the sum of absolute
    differences, in 0..1. None unless labels are aligned."""
    distance_after_alignment: float | None = None
    classes: tuple[ClassSelection, ...]
    training_shards: int | None = None
    """How many training shards were written; None unless the selection is materialized."""
    training_shard_bytes: int | None = None


class Confusion(Frozen):
    """How often images of each true class are predicted as each class. A thousand classes have a million pairs, nearly
    all of them without images, so only the others are kept."""

    classes: int = Field(ge=0)
    counts: tuple[tuple[int, int, int], ...]
    """(true class, predicted class, images), ordered, for every pair of classes with images."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_whole_matrix(cls, value: Any) -> Any:
        """Reads the form of earlier versions too: a row for each true class, with a count for each predicted one."""
        if isinstance(value, list | tuple):
            pairs = ((true, predicted, n) for true, row in enumerate(value) for predicted, n in enumerate(row) if n)
            return {"classes": len(value), "counts": tuple(pairs)}
        if isinstance(value, dict) and isinstance(value.get("counts"), list):
            # After a validator in Python, pydantic no longer takes the lists of JSON for tuples.
            return {
                **value,
                "counts": tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value["counts"]),
            }
        return value

    def matrix(self) -> list[list[int]]:
        """The whole matrix: `matrix()[i][j]` counts images of true class i predicted as j."""
        whole = [[0] * self.classes for _ in range(self.classes)]
        for true, predicted, images in self.counts:
            whole[true][predicted] = images
        return whole


class Metrics(Frozen):
    """A model's accuracies on one dataset, in 0..1."""

    images: int
    top1: float
    top5: float
    per_class: dict[str, float | None]
    """Accuracy by class name; None for a class without images."""
    expected_calibration_error: float
    """The error over 15 bins of equal width (Guo et al. 2017)."""
    confusion: Confusion


class ValidationMetrics(Frozen):
    """What the evaluate stage measures on the validation set, if the run's gate looks there."""

    metrics: Metrics
    robustness: RobustnessResult | None = None
    """On validation images, relative to the run's generation 0."""


class EvaluateResult(StageResult):
    stage: Literal["evaluate"] = "evaluate"
    metrics: Metrics
    bad_images: int
    pseudo_labels: Metrics | None = None
    robustness: RobustnessResult | None = None
    external: dict[str, Metrics] = Field(default_factory=dict)
    """Metrics by the name of the external set. Predictions are limited to the classes of the set."""
    validation: ValidationMetrics | None = None
    """None unless the run's gate judges on the validation set."""


class SearchResult(StageResult):
    stage: Literal["search"] = "search"
    outcome: SearchOutcome


class AblateResult(StageResult):
    stage: Literal["ablate"] = "ablate"
    outcome: AblationOutcome


class MeasureResult(StageResult):
    stage: Literal["measure"] = "measure"
    measurement: Measurement


class PredictResult(StageResult):
    stage: Literal["predict"] = "predict"
    outcome: PredictionOutcome


class VerifyResult(StageResult):
    stage: Literal["verify"] = "verify"
    model_uri: str
    model: str
    """timm model name."""
    classes: tuple[str, ...]
    parameters: int
    initial_weights: InitialWeightsReport
    """Where the weights come from, and how the model sees pictures."""
    check: ModelCheck


AnyStageResult = Annotated[
    TrainResult
    | LabelResult
    | SelectResult
    | SearchResult
    | EvaluateResult
    | AblateResult
    | MeasureResult
    | PredictResult
    | VerifyResult,
    Field(discriminator="stage"),
]
STAGE_RESULT: TypeAdapter[AnyStageResult] = TypeAdapter(AnyStageResult)
