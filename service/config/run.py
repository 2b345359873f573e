"""A run's configuration: datasets, models, recipes, selection and resources."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from service.config.cluster_shape import ClusterShape
from service.config.gate import ROBUSTNESS_OF, Condition, Gate
from service.config.models import GivenTeacher
from service.config.names import DEFAULT_PROJECT, ClassName, Name, ProjectName, Reference
from service.config.policies import FaultTolerance, RetentionOverrides
from service.config.predictions import PredictionSettings
from service.config.presets import PresetName
from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen, field_error
from workers.specs.labeling import LabelingSettings
from workers.specs.measure import external_part
from workers.specs.recipe import Recipe
from workers.specs.registration import RegistrationSettings
from workers.specs.robustness import RobustnessSettings
from workers.specs.search import SearchSettings
from workers.specs.selection import SelectionSettings
from workers.specs.stages import ActorPool
from workers.specs.text import ModelName
from workers.specs.worker_group import WorkerGroup

MAX_GENERATIONS = 50
MAX_CLASSES = 100_000
MOVED_FIELDS = {
    name: f"fault_tolerance.{name}"
    for name in ("retry", "schedule_timeout_seconds", "stall_timeout_seconds", "max_bad_fraction")
}
"""The fields of `RunConfig` that were elsewhere in version 0.1.0: from the old name to the new path."""
Priority = Annotated[int, Field(ge=-100, le=100)]


class RunDatasets(Frozen):
    """Dataset ids by role in the run."""

    labeled: Reference = Field(description="Role labeled. The teacher and every student train on it.")
    unlabeled: Reference | None = Field(
        default=None, description="Role unlabeled. Required for one generation or more."
    )
    validation: Reference = Field(
        description="Role evaluation. Monitored during training; searches, ablations and the gate choose by it."
    )
    test: Reference = Field(
        description="Role evaluation. The evaluate stage measures each generation on it; nothing is chosen by it."
    )
    pseudo_label_truth: Reference | None = Field(
        default=None,
        description="Role evaluation. The unlabeled images with their true labels, if known. "
        "Only the evaluate stage reads it, to measure the quality of the pseudo labels.",
    )

    @model_validator(mode="before")
    @classmethod
    def _validation_is_not_test(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("validation"):
            raise field_error(
                "validation",
                "is required: training is monitored on it, and searches, ablations and the gate choose by it, so that "
                "nothing is chosen by the test images; split it off the labeled images",
            )
        return given


class Resources(Frozen):
    """The cluster resources that each stage requests."""

    train: WorkerGroup = WorkerGroup()
    label: ActorPool = ActorPool()
    batch_size: int = Field(
        default=256, ge=1, le=1_000_000, description="Images per forward pass in labeling and evaluation."
    )
    top_k: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="The most probabilities kept per image with more than 100 classes. Fewer are kept once they hold "
        "99.9 % or the next has under 0.1 %; what remains is spread over the other classes.",
    )


class ExternalEvaluation(Frozen):
    """An additional evaluation set, measured once per generation."""

    name: Name
    dataset: Reference = Field(description="Role evaluation.")
    class_map: dict[ClassName, ClassName] | None = Field(
        default=None,
        max_length=MAX_CLASSES,
        description="Maps each class of the set to a labeled class. The set may cover a subset of the classes. "
        "Null: the names are the same.",
    )


class EvaluationSettings(Frozen):
    """What the evaluate stage measures in addition to accuracy on the test set."""

    robustness: RobustnessSettings | None = Field(default=None, description="The paper's robustness tables.")
    reference: Reference | None = Field(
        default=None,
        description="The model that mCE and mFR are relative to, evaluated on the same test set with the same "
        "robustness settings. Null: the run's own generation 0.",
    )
    external: tuple[ExternalEvaluation, ...] = Field(default=(), max_length=20)

    @property
    def external_datasets(self) -> dict[str, str]:
        """The ids of the external datasets by their part in the run, `external.NAME`."""
        return {external_part(each.name): each.dataset for each in self.external}


class GenerationOverrides(Frozen):
    """Settings of one generation that differ from its run's; the body of POST /runs/{id}/generations."""

    student_model: ModelName | None = Field(default=None, description="Default: the previous generation's model.")
    recipe: Recipe | None = Field(default=None, description="Replaces the run's student_recipe as a whole.")
    selection: SelectionSettings | None = None
    search: SearchSettings | None = Field(default=None, description="Default: the run's search, if any.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    unlabeled: Reference | None = Field(
        default=None,
        description="Role unlabeled. The dataset that the generation labels, for example a newer version of the run's. "
        "What was labeled before by the same teacher is not labeled again. Default: the run's.",
    )
    teacher: int | None = Field(
        default=None,
        ge=0,
        le=MAX_GENERATIONS,
        description="The generation whose model teaches. Default: the last before it that the gate, if any, promoted.",
    )


class RunConfig(Frozen):
    """The body of POST /runs."""

    name: Name
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="The project that owns the run and whose device hours it spends. Default: the project of the "
        "caller's key.",
    )
    priority: Priority = Field(
        default=0,
        description="-100 to 100. Each step moves the run's stages one hour forward in the queue. "
        "You can change it later.",
    )
    preset: PresetName | None = Field(
        default=None,
        description="Recipes and selection by name (GET /presets); the fields that the body sets override them. The "
        "stored run has whole recipes.",
    )
    datasets: RunDatasets
    teacher: GivenTeacher | None = Field(
        default=None,
        description="A trained model as the first teacher: generation 0 evaluates it on the run's images and trains "
        "nothing. Instead of teacher_model and teacher_recipe.",
    )
    teacher_model: ModelName | None = Field(
        default=None, description="The timm model that generation 0 trains. Required without teacher."
    )
    student_models: tuple[ModelName, ...] = Field(
        default=(),
        max_length=MAX_GENERATIONS,
        description="timm model names: one for all generations, or one per generation.",
    )
    generations: int = Field(default=3, ge=0, le=MAX_GENERATIONS, description="Number of students after the teacher.")
    teacher_recipe: Recipe = Recipe(unlabeled_ratio=0)
    student_recipe: Recipe = Recipe()
    labeling: LabelingSettings = LabelingSettings()
    selection: SelectionSettings = SelectionSettings()
    search: SearchSettings | None = Field(
        default=None, description="Runs before each student is trained; the winner becomes that generation's student."
    )
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: Gate | None = None
    resources: Resources = Resources()
    fault_tolerance: FaultTolerance = FaultTolerance()
    allow_smaller_student: bool = False
    seed: int = Field(default=0, ge=0, lt=2**31)
    retention: RetentionOverrides = RetentionOverrides()
    generation_overrides: dict[Annotated[str, Field(max_length=10)], GenerationOverrides] = Field(
        default_factory=dict,
        max_length=MAX_GENERATIONS,
        description="Settings of single generations that differ, by generation number. A model's lineage uses it to "
        "describe a run with differing generations in one body.",
    )

    @model_validator(mode="after")
    def _overrides_are_of_students_that_there_are(self) -> Self:
        students = {str(number) for number in range(1, self.generations + 1)}
        for key in self.generation_overrides:
            if key not in students:
                raise field_error(
                    f"generation_overrides.{key}", f"there is no student {key}: generations is {self.generations}"
                )
            teacher = self.generation_overrides[key].teacher
            if teacher is not None and teacher >= int(key):
                raise field_error(f"generation_overrides.{key}.teacher", f"generation {teacher} comes after it")
        return self

    @model_validator(mode="after")
    def _one_student_model_a_generation(self) -> Self:
        if self.generations and len(self.student_models) not in (1, self.generations):
            raise field_error(
                "student_models",
                f"must name one model, or one for each of the {self.generations} generations; "
                f"it names {len(self.student_models)}",
            )
        if self.generations and self.datasets.unlabeled is None:
            raise field_error("datasets.unlabeled", "is required for one generation or more")
        return self

    @model_validator(mode="after")
    def _gate_is_about_what_is_measured(self) -> Self:
        for index, text in enumerate(self.gate.conditions if self.gate else ()):
            field = f"gate.conditions.{index}"
            try:
                condition = Condition(text)
            except ValueError as error:
                raise field_error(field, str(error)) from error
            part = ROBUSTNESS_OF.get(condition.metric)
            if part is None:
                continue
            if getattr(self.evaluation.robustness, part, None) is None:
                raise field_error(field, f"{condition.metric} is measured with evaluation.robustness.{part} only")
            if self.gate is not None and self.gate.on == "validation" and self.evaluation.reference is not None:
                raise field_error(
                    field,
                    f"{condition.metric} is relative to evaluation.reference, which was measured on test images only: "
                    "leave the reference out, or set gate.on to test",
                )
        return self

    @model_validator(mode="after")
    def _external_sets_have_names_of_their_own(self) -> Self:
        names = [external.name for external in self.evaluation.external]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise field_error(f"evaluation.external.{index}.name", f"{name!r} is the name of two external sets")
        return self


class RunChanges(Frozen):
    """The body of PATCH /runs/{id}."""

    priority: Priority


class EstimateSettings(Frozen):
    """What a plan measures, and what its bill covers."""

    cluster: ClusterShape | None = Field(
        default=None, description="The cluster to bill for; null: the cluster that measures."
    )
    unlabeled_images: int | None = Field(
        default=None, ge=1, le=10**12, description="Bill for an unlabeled dataset of this size; null: its actual size."
    )
    sample_seconds: float = Field(
        default=5.0, ge=0.5, le=600, description="Seconds per measurement, not counting process start."
    )


class EstimateRequest(EstimateSettings):
    """The body of POST /plans: a run to estimate before it starts."""

    run: RunConfig = Field(description="The body that you would post to /runs.")


class GenerationPlan(Frozen):
    """What one generation trains. It is frozen when the generation is created."""

    model: str
    given: str | None = None
    """The id of the model that is this generation's without any training. Its recipe then says how it sees pictures."""
    recipe: Recipe
    selection: SelectionSettings
    seed: int
    unlabeled: str | None = None
    """The dataset that it labels; None: the run's."""
    teacher: int | None = None
    """The generation whose model teaches; None: the last before it that may teach."""
    search: SearchSettings | None = None
    """The settings of the search stage of a student's generation, or of a search's only stage."""
    ablation: AblationSettings | None = None
    """The settings of an ablation's only stage."""
    bill: EstimateSettings | None = None
    """The settings of a plan's only stage: what it measures, and for which cluster the bill is written."""
    prediction: PredictionSettings | None = None
    """The settings of a prediction's only stage."""
    registration: RegistrationSettings | None = None
    """The settings of the only stage that registers a model. The model's name is empty if only its weights know it."""
