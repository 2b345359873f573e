"""Stage specs and results: the JSON a stage is given, and the JSON it writes last."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from workers.specs.ablation import AblationOutcome, AblationSettings
from workers.specs.environment import StageEnvironment
from workers.specs.frozen import Frozen
from workers.specs.hygiene import BrokenKind, EvaluationImages
from workers.specs.measure import MeasuredStudent, Measurement
from workers.specs.recipe import Recipe, SelectionSettings
from workers.specs.robustness import RobustnessResult, RobustnessSettings
from workers.specs.search import SearchOutcome, SearchSettings

StageName = Literal["train", "label", "select", "search", "evaluate", "ablate", "measure"]

# Names of the files in a stage's folder.
SPECS_FOLDER = "specs"
PROGRESS_FILE = "progress.json"
RESULT_FILE = "result.json"
FAILURE_FILE = "failure.json"
# Folders below the label folder, with a file for each shard that has such rows.
QUARANTINE_FOLDER = "quarantine"
DUPLICATES_FOLDER = "duplicates"
NEAR_DUPLICATES_FOLDER = "near_duplicates"
RELIABILITY_FILE = "reliability.svg"


def part_name(shard_index: int) -> str:
    """The file that belongs to input shard `shard_index`, in the label and the select folder alike."""
    return f"part-{shard_index:05d}.parquet"


def shard_of_part(name: str) -> int:
    """The input shard of a file that `part_name` named."""
    return int(name.removeprefix("part-").removesuffix(".parquet"))


def spec_name(attempt: int) -> str:
    """The spec of one attempt: written once. The highest attempt that has one owns the stage's folder."""
    return f"{SPECS_FOLDER}/a{attempt}.json"


def attempt_of_spec(file_name: str) -> int | None:
    """The attempt that a file in the folder of specs belongs to; None for any other file."""
    found = re.fullmatch(r"a([0-9]+)\.json", file_name)
    return int(found[1]) if found else None


def metrics_name(attempt: int) -> str:
    """The JSON-lines file of metric rows of one attempt."""
    return f"metrics-a{attempt}.jsonl"


def control_name(attempt: int) -> str:
    """The `StageControl` of one attempt: there once the service wants it to stop."""
    return f"control-a{attempt}.json"


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
    """Whose spec this is. A driver that finds the spec of a later attempt beside it has been superseded and stops."""
    folder_uri: str
    seed: int
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)
    dataset_roots: tuple[str, ...] | None = None
    """Where images may be read from (workers/data/dataset_roots.py); None: anywhere."""


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
    evaluation_images: tuple[EvaluationImages, ...] = ()
    """Evaluation images whose near duplicates are listed."""
    near_duplicate_distance: int = Field(default=0, ge=0)
    """Bits of the perceptual hash in which a near duplicate may differ; 0: none are looked for."""


class SelectSpec(StageSpec):
    stage: Literal["select"] = "select"
    manifest_uri: str
    labels_uri: str
    classes: tuple[str, ...]
    settings: SelectionSettings
    pool: ActorPool = ActorPool()
    """Actors that materialise; selection itself uses processes of the driver's node."""


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


class MeasureSpec(StageSpec):
    stage: Literal["measure"] = "measure"
    classes: tuple[str, ...]
    students: tuple[MeasuredStudent, ...] = Field(min_length=1)
    labeled_manifest_uri: str
    unlabeled_manifest_uri: str | None
    validation_manifest_uri: str
    test_manifest_uri: str
    external_manifest_uris: dict[str, str] = Field(default_factory=dict)
    """By the name of the external set."""
    robustness: RobustnessSettings | None = None
    corrupted_validation: bool = False
    """Whether a search is to look at validation images under corruption."""
    workers: WorkerGroup
    pool: ActorPool
    batch_size: int = Field(default=256, ge=1)
    top_k: int = Field(default=10, ge=1)
    sample_seconds: float = Field(gt=0)
    """For each thing that is timed, once it is warm."""


AnyStageSpec = Annotated[
    TrainSpec | LabelSpec | SelectSpec | SearchSpec | EvaluateSpec | AblateSpec | MeasureSpec,
    Field(discriminator="stage"),
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


class FailureReason(StrEnum):
    """Why an attempt ended without a result: a stage's own word, or the reconciler's."""

    BAD_DATA = "bad_data"
    """More unreadable images than max_bad_fraction, or nothing left to train on."""
    OUT_OF_MEMORY = "out_of_memory"
    USER_ERROR = "user_error"
    """The spec asks for what cannot work, for example an image size the model refuses."""
    STAGE_ERROR = "stage_error"
    """Any other exception in the stage."""
    ARTIFACT_STORE = "artifact_store"
    """A file could not be written or read: a full disk, a read-only file system."""
    JOB_FAILED = "job_failed"
    """The Ray job ended without a result and without a word."""
    JOB_LOST = "job_lost"
    """Ray no longer knows the job: its head died."""
    SUBMIT_FAILED = "submit_failed"
    PREEMPTED = "preempted"
    """Ray says that the node was taken back by its owner, as spot nodes are."""
    NODE_LOST = "node_lost"
    """The node died, and Ray does not say why."""
    UNSCHEDULABLE = "unschedulable"
    """It asks for what the cluster did not have by schedule_timeout_seconds."""
    HUNG = "hung"
    """Its work did not advance for stall_timeout_seconds."""
    PAUSED = "paused"
    """It stopped at the end of a unit because its run is to pause: no failure."""
    CANCELLED = "cancelled"


class StageFailure(Frozen):
    """Written as failure.json when a stage fails."""

    attempt: int
    reason: FailureReason
    message: str


class StageControl(Frozen):
    """What the service asks of a running attempt, in a file of its own: a stage never calls the API."""

    command: Literal["pause", "stop"]
    """pause: keep what is done and end at the next unit. stop: the attempt is over, whatever its job still does."""


class Waiting(Frozen):
    """Why a stage has not begun its work."""

    since: float
    """Unix seconds."""
    reason: str
    exceeds_cluster: bool
    """Whether even the idle cluster has too little. More nodes may come; for other jobs to end does not help."""


ProgressUnit = Literal["steps", "shards", "images", "rows", "trials", "samples"]


class Progress(Frozen):
    """Rewritten every few seconds beside the result."""

    attempt: int
    done: int
    total: int
    unit: ProgressUnit
    entered_at: float
    work_started_at: float | None
    updated_at: float
    """When this was written: the stage is alive."""
    advanced_at: float | None = None
    """When the work last advanced, or while the stage waited for resources: what a hung stage is told by."""
    values: dict[str, float] = Field(default_factory=dict)
    """The latest metric values, for example loss and images_per_second."""
    waiting: Waiting | None = None
    """Why the work has not begun, where it is resources that it waits for."""


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
