"""Stage specs and results: the JSON a stage is given, and the JSON it writes last."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from workers.specs.ablation import AblationOutcome, AblationSettings
from workers.specs.environment import StageEnvironment
from workers.specs.frozen import Frozen
from workers.specs.recipe import Recipe, SelectionSettings
from workers.specs.robustness import RobustnessResult, RobustnessSettings
from workers.specs.search import SearchOutcome, SearchSettings

StageName = Literal["train", "label", "select", "search", "evaluate", "ablate"]

# Names of the files in a stage's folder.
SPEC_FILE = "spec.json"
PROGRESS_FILE = "progress.json"
RESULT_FILE = "result.json"
FAILURE_FILE = "failure.json"
QUARANTINE_FOLDER = "quarantine"
RELIABILITY_FILE = "reliability.svg"


def part_name(shard_index: int) -> str:
    """The file that belongs to input shard `shard_index`, in the label and the select folder alike."""
    return f"part-{shard_index:05d}.parquet"


def metrics_name(attempt: int) -> str:
    """The JSON-lines file of metric rows of one attempt."""
    return f"metrics-a{attempt}.jsonl"


class ActorPool(Frozen):
    """An autoscaling pool of model actors. `max_actors` None: as many as the cluster (or its autoscaler) gives."""

    min_actors: int = Field(default=1, ge=1)
    max_actors: int | None = Field(default=None, ge=1)
    cpus_per_actor: float = Field(default=1.0, gt=0)
    gpus_per_actor: float = Field(default=0.0, ge=0)


class WorkerGroup(Frozen):
    """The DDP workers of a train stage."""

    num_workers: int = Field(default=1, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    gpus_per_worker: float = Field(default=0.0, ge=0, le=1)
    loader_processes: int = Field(default=0, ge=0, description="DataLoader processes a worker; 0: in the worker.")
    max_failures: int = Field(default=3, ge=0, description="Lost workers that one attempt survives.")


class StageSpec(Frozen):
    """What every stage is told."""

    run_id: str
    generation: int = Field(ge=0)
    attempt: int = Field(ge=1)
    """The attempt that owns the folder. The file is rewritten when a new attempt starts: a driver that reads
    another number than its own has been superseded and stops."""
    folder_uri: str
    seed: int
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)


class PseudoLabels(Frozen):
    """The labels of one unlabeled dataset and what was selected of them."""

    manifest_uri: str
    labels_uri: str
    """Folder of label files, one a shard."""
    selection_uri: str
    """Folder of selection files, one a shard."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the selected images that is used, drawn by the seed: a trial's, for example."""


class TrainSpec(StageSpec):
    stage: Literal["train"] = "train"
    model: str
    """A timm model name."""
    classes: tuple[str, ...]
    recipe: Recipe
    labeled_manifest_uri: str
    validation_manifest_uri: str
    pseudo_labels: PseudoLabels | None = None
    """None for generation 0: the same code with no pseudo-labeled data."""
    initial_model_uri: str | None = None
    """Folder of a model of the same architecture whose weights training begins with; None: from scratch."""
    validate_corrupted: bool = False
    """Whether accuracy under corruption is measured too, wherever validation accuracy is."""
    workers: WorkerGroup


class LabelSpec(StageSpec):
    stage: Literal["label"] = "label"
    model_uri: str
    """Folder of the teacher's model.safetensors and model.json."""
    manifest_uri: str
    top_k: int = Field(default=10, ge=1)
    """Probabilities kept a row; all of them where there are at most 100 classes."""
    batch_size: int = Field(default=256, ge=1)
    pool: ActorPool
    calibration_manifest_uri: str | None = None
    """Labeled images on which the teacher's temperature is fitted; None: temperature 1."""
    calibration_sample: int = Field(default=10_000, ge=1)
    held_out_hashes_uris: tuple[str, ...] = ()
    """Content hashes of evaluation images: their rows are marked, and never trained on."""


class SelectSpec(StageSpec):
    stage: Literal["select"] = "select"
    manifest_uri: str
    labels_uri: str
    classes: tuple[str, ...]
    settings: SelectionSettings


class PseudoLabelTruth(Frozen):
    """Where the truth of pseudo labels is known: label files, and a labeled dataset with the same images."""

    labels_uri: str
    labels_manifest_uri: str
    truth_manifest_uri: str


class RobustnessReference(Frozen):
    """The model that mean corruption error and mean flip rate are relative to."""

    model_id: str
    result_uri: str
    """result.json of its evaluate stage, with the same robustness settings and the same images."""


class ExternalSet(Frozen):
    """A further evaluation set, whose classes may be a subset of the model's (as ImageNet-A's are)."""

    name: str
    manifest_uri: str
    class_map: dict[str, str] | None = None
    """The model's class for each class of the set; None: classes have the same names."""


class EvaluateSpec(StageSpec):
    stage: Literal["evaluate"] = "evaluate"
    model_uri: str
    manifest_uri: str
    batch_size: int = Field(default=256, ge=1)
    pool: ActorPool
    pseudo_label_truth: PseudoLabelTruth | None = None
    robustness: RobustnessSettings | None = None
    reference: RobustnessReference | None = None
    """None where this model is the one that others are measured against."""
    external: tuple[ExternalSet, ...] = ()


class SearchSpec(StageSpec):
    stage: Literal["search"] = "search"
    base: TrainSpec
    """The full training that is searched for; its model and recipe are the first trial."""
    settings: SearchSettings
    models: tuple[str, ...] = ()
    """The models of the space by rising number of parameters; empty: the base's alone."""


class AblateSpec(StageSpec):
    stage: Literal["ablate"] = "ablate"
    base: TrainSpec
    """The full student."""
    selection: SelectSpec
    """The full student's selection."""
    settings: AblationSettings
    teacher_uri: str
    teacher_model: str
    teacher_test_error: float | None
    test_manifest_uri: str


AnyStageSpec = Annotated[
    TrainSpec | LabelSpec | SelectSpec | SearchSpec | EvaluateSpec | AblateSpec, Field(discriminator="stage")
]
STAGE_SPEC: TypeAdapter[AnyStageSpec] = TypeAdapter(AnyStageSpec)


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
    dropped_duplicates: int = 0
    """Counted where they are dropped."""
    dropped_low_confidence: int
    dropped_over_cap: int
    kept: int
    copies: int
    classes: tuple[ClassSelection, ...]


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


AnyStageResult = Annotated[
    TrainResult | LabelResult | SelectResult | SearchResult | EvaluateResult | AblateResult,
    Field(discriminator="stage"),
]
STAGE_RESULT: TypeAdapter[AnyStageResult] = TypeAdapter(AnyStageResult)


class FailureReason(StrEnum):
    """Why an attempt ended without a result. The first four are a stage's own word, the others the reconciler's."""

    BAD_DATA = "bad_data"
    """More unreadable images than max_bad_fraction, or nothing left to train on."""
    OUT_OF_MEMORY = "out_of_memory"
    USER_ERROR = "user_error"
    """The spec asks for what cannot work, for example an image size the model refuses."""
    STAGE_ERROR = "stage_error"
    """Any other exception in the stage."""
    JOB_FAILED = "job_failed"
    """The Ray job ended without a result and without a word."""
    JOB_LOST = "job_lost"
    """Ray no longer knows the job: its head died."""
    SUBMIT_FAILED = "submit_failed"
    CANCELLED = "cancelled"


class StageFailure(Frozen):
    """Written as failure.json when a stage fails."""

    attempt: int
    reason: FailureReason
    message: str


ProgressUnit = Literal["steps", "shards", "images", "rows", "trials"]


class Progress(Frozen):
    """Rewritten every few seconds beside the result."""

    attempt: int
    done: int
    total: int
    unit: ProgressUnit
    entered_at: float
    work_started_at: float | None
    updated_at: float
    values: dict[str, float] = Field(default_factory=dict)
    """The latest metric values, for example loss and images_per_second."""


class ModelCard(Frozen):
    """model.json: what a reader needs to load model.safetensors with plain timm."""

    model: str
    classes: tuple[str, ...]
    image_size: int
    """The size that the model is to be used at."""
    train_image_size: int | None = None
    """The size it was trained at before the resolution step; None where there was no such step."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: Literal["center", "none"]
    """How a clean picture is brought to image_size: resize the short side and crop the centre, or resize the whole."""
    crop_fraction: float = 0.875
    """`center` only: the share of the resized picture that is kept, torchvision's 224 of 256."""
    model_options: dict[str, int] = Field(default_factory=dict)
    """Further arguments of timm.create_model, for example img_size for vision transformers."""
    parameters: int
    run_id: str
    generation: int
    validation_top1: float


WEIGHTS_FILE = "model.safetensors"
MODEL_CARD_FILE = "model.json"
