"""Stage specs, the JSON that a stage is given, and the names of the files in its folder."""

import re
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen
from workers.specs.evaluation import ExternalSet, PseudoLabelTruth, RobustnessReference
from workers.specs.figures import CALIBRATION_SAMPLE
from workers.specs.hygiene import FingerprintedImages, JudgedOn
from workers.specs.initialization import PreparedWeights
from workers.specs.labeling import ImportedTable, LabeledBy, LabelingModel, PseudoLabels, ReusableLabels, Views
from workers.specs.measure import MeasuredStudent
from workers.specs.node_labels import NODE_LABELS_MEAN, NodeLabels
from workers.specs.prediction import PredictedBy
from workers.specs.recipe import Recipe
from workers.specs.registration import RegistrationSettings
from workers.specs.review import EarlierLabels
from workers.specs.robustness import RobustnessSettings
from workers.specs.search import SearchSettings
from workers.specs.selection import SelectionSettings
from workers.specs.stage_spec import StageSpec
from workers.specs.worker_group import GPUS_MEAN, WorkerGroup

StageName = Literal["train", "label", "select", "search", "evaluate", "ablate", "measure", "predict", "verify"]

# Names of the files in a stage's folder, then of the label folder's own folders, with a file per shard of such rows.
SPECS_FOLDER = "specs"
PROGRESS_FILE = "progress.json"
RESULT_FILE = "result.json"
FAILURE_FILE = "failure.json"
QUARANTINE_FOLDER = "quarantine"
DUPLICATES_FOLDER = "duplicates"
NEAR_DUPLICATES_FOLDER = "near_duplicates"
RELIABILITY_FILE = "reliability.svg"


def part_name(shard_index: int) -> str:
    """The name of the file that belongs to input shard `shard_index`, in the label folder and in the select folder."""
    return f"part-{shard_index:05d}.parquet"


def spec_name(attempt: int) -> str:
    """The path of an attempt's spec, which is written once. The latest attempt with a spec owns the stage's folder."""
    return f"{SPECS_FOLDER}/a{attempt}.json"


def attempt_of_spec(file_name: str) -> int | None:
    """The attempt to which a file in the folder of specs belongs; None for any other file."""
    found = re.fullmatch(r"a([0-9]+)\.json", file_name)
    return int(found[1]) if found else None


def metrics_name(attempt: int) -> str:
    """The name of the JSON Lines file with an attempt's metric rows."""
    return f"metrics-a{attempt}.jsonl"


def control_name(attempt: int) -> str:
    """The name of the file with an attempt's `StageControl`. It exists once the service wants the attempt to end."""
    return f"control-a{attempt}.json"


class ActorPool(Frozen):
    """An autoscaling pool of model actors. If `max_actors` is None, the cluster or its autoscaler is the limit."""

    min_actors: int = Field(default=1, ge=1, le=100_000)
    max_actors: int | None = Field(default=None, ge=1, le=100_000)
    cpus_per_actor: float = Field(default=1.0, gt=0, le=100_000)
    gpus_per_actor: float | None = Field(default=None, ge=0, le=1000, description=GPUS_MEAN)
    node_labels: NodeLabels | None = Field(default=None, description=NODE_LABELS_MEAN)

    @property
    def gpus(self) -> float:
        """The GPUs of an actor, once they are decided."""
        return self.gpus_on(has_gpus=False)

    def gpus_on(self, has_gpus: bool) -> float:
        """The GPUs of an actor on a cluster with or without GPUs."""
        return float(has_gpus) if self.gpus_per_actor is None else self.gpus_per_actor


class TrainSpec(StageSpec):
    stage: Literal["train"] = "train"
    model: str
    """A timm model name."""
    classes: tuple[str, ...]
    recipe: Recipe
    labeled_manifest_uri: str
    validation_manifest_uri: str
    pseudo_labels: PseudoLabels | None = None
    """None for generation 0, which runs the same code without pseudo-labeled images."""
    initial_model_uri: str | None = None
    """Folder of the model whose weights `recipe.init` means: the teacher's, or that of another model of the service."""
    file_roots: tuple[str, ...] | None = None
    """The folders and bucket prefixes from which `recipe.init` may read a file; None: any."""
    prepared: PreparedWeights | None = None
    """The weights that the driver has made ready for the workers; None: they begin with random ones."""
    validate_corrupted: bool = False
    """Whether each validation also measures accuracy under corruption."""
    labeled_images: FingerprintedImages | None = None
    """The labeled images, to be compared with `evaluation_images` before training; None: that has been done."""
    evaluation_images: tuple[FingerprintedImages, ...] = ()
    """Validation, test and external images."""
    near_duplicate_distance: int = Field(default=0, ge=0)
    """In how many bits of the perceptual hash a near duplicate may differ; 0: do not look for near duplicates."""
    gate_on: JudgedOn | None = None
    """The images on which the run's gate judges students, for the model's card; None without a gate."""
    workers: WorkerGroup
    resize_check_seconds: float = Field(default=60.0, gt=0)
    """How often a training whose number of workers is a range looks whether there is room for more."""


class LabelSpec(StageSpec):
    stage: Literal["label"] = "label"
    model_uri: str
    """Folder with the teacher's model.safetensors and model.json."""
    further_teachers: tuple[LabelingModel, ...] = ()
    """Models that label with the teacher: a label is the mean of the probabilities of all of them."""
    manifest_uri: str
    top_k: int = Field(default=64, ge=1)
    """The most probabilities to keep per row. With at most 100 classes, all are kept."""
    batch_size: int = Field(default=256, ge=1)
    views: Views = Views()
    """The views whose mean is the label; the temperature is fitted on the same ones."""
    pool: ActorPool
    calibration_manifest_uri: str | None = None
    """Labeled images on which to fit the teacher's temperature; None: temperature 1."""
    calibration_sample: int = Field(default=CALIBRATION_SAMPLE, ge=1)
    evaluation_images: tuple[FingerprintedImages, ...] = ()
    """Evaluation images. Rows that equal one are marked and never trained on; near duplicates are listed."""
    near_duplicate_distance: int = Field(default=0, ge=0)
    """In how many bits of the perceptual hash a near duplicate may differ; 0: do not look for near duplicates."""
    imported: ImportedTable | None = None
    """Labels that somebody else has made; None: the teachers make them."""
    reusable_labels: tuple[ReusableLabels, ...] = ()
    """Label files to take over where they were made as this stage would make them; the first that fit are taken."""

    @property
    def further_uris(self) -> tuple[str, ...]:
        """The folders of the further teachers."""
        return tuple(each.uri for each in self.further_teachers)

    def labeled_by(self, temperature: float, imported: str | None = None) -> LabeledBy:
        """What makes the labels: the teachers at this temperature, or the imported table with this digest."""
        uris = () if imported else tuple(sorted((self.model_uri, *self.further_uris)))
        return LabeledBy(model_uris=uris, views=self.views, temperature=temperature, imported=imported)


class SelectSpec(StageSpec):
    stage: Literal["select"] = "select"
    manifest_uri: str
    labels_uri: str
    classes: tuple[str, ...]
    settings: SelectionSettings
    labeled_manifest_uri: str | None = None
    """The labeled images, to whose shares of classes labels may be aligned; None in specs of earlier versions."""
    marks_uri: str | None = None
    """The file of the run's marks (workers/data/marks.py); None: nobody had marked a label."""
    earlier: EarlierLabels | None = None
    """The labels of the generation before, to list what has changed; None: there are none."""
    pool: ActorPool = ActorPool()
    """The actors that materialize the selection. Selection itself uses processes on the driver's node."""


class EvaluateSpec(StageSpec):
    stage: Literal["evaluate"] = "evaluate"
    model_uri: str
    manifest_uri: str
    batch_size: int = Field(default=256, ge=1)
    pool: ActorPool
    pseudo_label_truth: PseudoLabelTruth | None = None
    robustness: RobustnessSettings | None = None
    reference: RobustnessReference | None = None
    """None if this model is itself the reference for others."""
    external: tuple[ExternalSet, ...] = ()
    validation_manifest_uri: str | None = None
    """Validation images to judge as well, because the run's gate looks at them; None: there is no need."""
    validation_robustness: RobustnessSettings | None = None
    """The robustness to measure on validation images: what the gate's conditions name, with the settings of
    `robustness`."""

    @property
    def manifest_uris(self) -> list[str]:
        """All sets to judge: the test set, the external sets, and the validation set if it is asked for."""
        external = [each.manifest_uri for each in self.external]
        validation = [] if self.validation_manifest_uri is None else [self.validation_manifest_uri]
        return [self.manifest_uri, *external, *validation]

    @property
    def place_of_validation(self) -> int | None:
        """The place of the validation set in `manifest_uris`; None if it is not judged."""
        return None if self.validation_manifest_uri is None else 1 + len(self.external)

    @property
    def robustness_of_validation(self) -> tuple[int, RobustnessSettings] | None:
        """The place of the validation set, and the robustness to measure on it, if any."""
        place, settings = self.place_of_validation, self.validation_robustness
        return None if place is None or settings is None else (place, settings)


class SearchSpec(StageSpec):
    stage: Literal["search"] = "search"
    base: TrainSpec
    """The full training whose settings the search looks for. Its own model and recipe are the first trial."""
    settings: SearchSettings
    models: tuple[str, ...] = ()
    """The models of the search space in ascending order of parameters; empty: only the base's model."""


class AblateSpec(StageSpec):
    stage: Literal["ablate"] = "ablate"
    base: TrainSpec
    """The training of the full student."""
    selection: SelectSpec
    """The selection of the full student."""
    settings: AblationSettings
    teacher_uri: str
    teacher_model: str
    teacher_error: float | None
    """The teacher's error on the images that judge the students."""
    judged_manifest_uri: str
    """The images that judge each student once, at its end: those that `settings.on` names."""


class MeasureSpec(StageSpec):
    stage: Literal["measure"] = "measure"
    classes: tuple[str, ...]
    students: tuple[MeasuredStudent, ...] = Field(min_length=1)
    labeled_manifest_uri: str
    unlabeled_manifest_uri: str | None
    validation_manifest_uri: str
    test_manifest_uri: str
    external_manifest_uris: dict[str, str] = Field(default_factory=dict)
    """Manifests by the name of the external set."""
    robustness: RobustnessSettings | None = None
    corrupted_validation: bool = False
    """Whether to measure validation under corruption too, because a search will need it."""
    workers: WorkerGroup
    pool: ActorPool
    file_roots: tuple[str, ...] | None = None
    """The folders and bucket prefixes from which a recipe's `init` may read a file; None: any."""
    batch_size: int = Field(default=256, ge=1)
    top_k: int = Field(default=64, ge=1)
    views: Views = Views()
    """The views of each image that is labeled."""
    further_teachers: tuple[LabelingModel, ...] = ()
    """The models that label with the teacher of each generation."""
    sample_seconds: float = Field(gt=0)
    """How long to time each piece of work, after its warm-up."""


class PredictSpec(StageSpec):
    stage: Literal["predict"] = "predict"
    model_id: str
    model_uri: str
    """Folder with the model's model.safetensors and model.json."""
    manifest_uri: str
    top_k: int | None = Field(default=5, ge=1)
    """How many classes to keep of each image, the most probable; None: all."""
    batch_size: int = Field(default=256, ge=1)
    pool: ActorPool

    @property
    def predicted_by(self) -> PredictedBy:
        """What makes the predictions."""
        return PredictedBy(model=self.model_uri, dataset=self.manifest_uri, top_k=self.top_k)


class VerifySpec(StageSpec):
    stage: Literal["verify"] = "verify"
    settings: RegistrationSettings
    manifest_uri: str
    """The dataset whose images the model labels, before it is registered."""
    file_roots: tuple[str, ...] | None = None
    """The folders and bucket prefixes from which the weights may be read; None: any."""


AnyStageSpec = Annotated[
    TrainSpec
    | LabelSpec
    | SelectSpec
    | SearchSpec
    | EvaluateSpec
    | AblateSpec
    | MeasureSpec
    | PredictSpec
    | VerifySpec,
    Field(discriminator="stage"),
]
STAGE_SPEC: TypeAdapter[AnyStageSpec] = TypeAdapter(AnyStageSpec)
