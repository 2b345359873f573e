"""Stage specs: the JSON that a stage is given; and the names of the files in its folder."""

import re
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen
from workers.specs.figures import CALIBRATION_SAMPLE
from workers.specs.hygiene import EvaluationImages
from workers.specs.internals import LibraryInternals
from workers.specs.measure import MeasuredStudent
from workers.specs.recipe import Recipe, SelectionSettings
from workers.specs.robustness import RobustnessSettings
from workers.specs.search import SearchSettings

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

    min_actors: int = Field(default=1, ge=1, le=100_000)
    max_actors: int | None = Field(default=None, ge=1, le=100_000)
    cpus_per_actor: float = Field(default=1.0, gt=0, le=100_000)
    gpus_per_actor: float = Field(default=0.0, ge=0, le=1000)


class WorkerGroup(Frozen):
    """The DDP workers of a train stage."""

    num_workers: int = Field(default=1, ge=1, le=100_000)
    cpus_per_worker: float = Field(default=1.0, gt=0, le=100_000)
    gpus_per_worker: float = Field(default=0.0, ge=0, le=1)
    loader_processes: int = Field(
        default=0, ge=0, le=1000, description="DataLoader processes per worker; 0: load in the worker."
    )
    max_failures: int = Field(
        default=3, ge=0, le=1_000_000, description="Number of lost workers that one attempt survives."
    )


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
    internals: LibraryInternals = LibraryInternals()
    """Which undocumented parts of torch, timm and Ray may be used."""


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
    calibration_sample: int = Field(default=CALIBRATION_SAMPLE, ge=1)
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


def model_id(run_id: str, generation: int) -> str:
    """Returns the id of a generation, and of the model that it trains."""
    return f"{run_id}-g{generation}"
