"""What a user asks for: a run's datasets, models, recipes, selection and resources."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.config.cluster_shape import ClusterShape
from service.config.gate import ROBUSTNESS_OF, Condition
from service.config.names import DEFAULT_PROJECT, ClassName, Name, ProjectName, Reference
from service.config.policies import FaultTolerance, RetentionOverrides
from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen, field_error
from workers.specs.measure import external_part
from workers.specs.recipe import Recipe, SelectionSettings
from workers.specs.robustness import RobustnessSettings
from workers.specs.search import SearchSettings
from workers.specs.stages import ActorPool, WorkerGroup
from workers.specs.text import ModelName

MAX_GENERATIONS = 50
MAX_CLASSES = 100_000
MOVED_FIELDS = {
    name: f"fault_tolerance.{name}"
    for name in ("retry", "schedule_timeout_seconds", "stall_timeout_seconds", "max_bad_fraction")
}
"""What fields of `RunConfig` are called now that were elsewhere in version 0.1.0."""
Priority = Annotated[int, Field(ge=-100, le=100)]


class RunDatasets(Frozen):
    """Dataset ids by the part each plays."""

    labeled: Reference = Field(description="Role labeled: the teacher and every student train on it.")
    unlabeled: Reference | None = Field(
        default=None, description="Role unlabeled. Required for one generation or more."
    )
    validation: Reference = Field(description="Role evaluation: watched while training.")
    test: Reference = Field(description="Role evaluation: judged once a generation, by the evaluate stage.")
    pseudo_label_truth: Reference | None = Field(
        default=None,
        description="Role evaluation: the unlabeled images with their true labels, where they are known. "
        "Only the evaluate stage reads it, to say how good the pseudo labels are.",
    )


class Resources(Frozen):
    """What each stage asks of the cluster."""

    train: WorkerGroup = WorkerGroup()
    label: ActorPool = ActorPool()
    batch_size: int = Field(
        default=256, ge=1, le=1_000_000, description="Images a forward pass when labeling and evaluating."
    )
    top_k: int = Field(
        default=10, ge=1, le=100_000, description="Probabilities kept an image where classes are over 100."
    )


class ExternalEvaluation(Frozen):
    """A further evaluation set, judged once a generation."""

    name: Name
    dataset: Reference = Field(description="Role evaluation.")
    class_map: dict[ClassName, ClassName] | None = Field(
        default=None,
        max_length=MAX_CLASSES,
        description="The labeled classes' name for each class of the set, which may be a subset of them; "
        "null: the names are the same.",
    )


class EvaluationSettings(Frozen):
    """What the evaluate stage measures beside accuracy on the test set."""

    robustness: RobustnessSettings | None = Field(default=None, description="The paper's robustness tables.")
    reference: Reference | None = Field(
        default=None,
        description="The model that mCE and mFR are relative to; null: the run's own generation 0. "
        "It was evaluated on the same test set with the same robustness settings.",
    )
    external: tuple[ExternalEvaluation, ...] = Field(default=(), max_length=20)

    @property
    def external_datasets(self) -> dict[str, str]:
        """Dataset ids by the part that they play: `external.NAME`."""
        return {external_part(each.name): each.dataset for each in self.external}


class Gate(Frozen):
    """What a student must show to become the next teacher."""

    conditions: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        min_length=1,
        max_length=20,
        description="As `top1 >= previous` or `mce <= previous + 1.0`; previous is the teacher's own figure. "
        "top1, top5 and calibration_error are shares in 0..1, mce and mfr are percent.",
    )
    on_failure: Literal["stop", "go_on"] = Field(
        default="stop", description="go_on: the teacher stays the teacher of the generations that follow."
    )


class GenerationOverrides(Frozen):
    """What one generation does differently from its run; the body of POST /runs/{id}/generations."""

    student_model: ModelName | None = Field(default=None, description="Default: the model of the generation before.")
    recipe: Recipe | None = Field(default=None, description="Replaces the run's student_recipe as a whole.")
    selection: SelectionSettings | None = None
    search: SearchSettings | None = Field(default=None, description="Default: the run's, if it has one.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)


class RunConfig(Frozen):
    """The body of POST /runs."""

    name: Name
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="Whose run it is, and whose quota of device hours it spends. Default: the project of the key "
        "that asks.",
    )
    priority: Priority = Field(
        default=0,
        description="-100 to 100. A stage lines up as if it had been ready an hour earlier for each step of it. "
        "Can be changed later.",
    )
    datasets: RunDatasets
    teacher_model: ModelName = Field(description="A timm model name.")
    student_models: tuple[ModelName, ...] = Field(
        default=(),
        max_length=MAX_GENERATIONS,
        description="timm model names: one for all generations, or one for each.",
    )
    generations: int = Field(default=3, ge=0, le=MAX_GENERATIONS, description="Students after the teacher.")
    teacher_recipe: Recipe = Recipe(unlabeled_ratio=0)
    student_recipe: Recipe = Recipe()
    selection: SelectionSettings = SelectionSettings()
    search: SearchSettings | None = Field(
        default=None, description="Before each student is trained; the winner becomes that generation's student."
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
        description="By generation number: what single generations do differently. A model's lineage uses it to give "
        "a run that trained its generations in several ways as one body.",
    )

    @model_validator(mode="after")
    def _overrides_are_of_students_that_there_are(self) -> Self:
        students = {str(number) for number in range(1, self.generations + 1)}
        for key in self.generation_overrides:
            if key not in students:
                raise field_error(
                    f"generation_overrides.{key}", f"there is no student {key}: generations is {self.generations}"
                )
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
            if part is not None and getattr(self.evaluation.robustness, part, None) is None:
                raise field_error(field, f"{condition.metric} is measured with evaluation.robustness.{part} only")
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
    """What a plan measures, and for what it writes the bill."""

    cluster: ClusterShape | None = Field(
        default=None, description="The cluster to write the bill for; null: the one that measures."
    )
    unlabeled_images: int | None = Field(
        default=None, ge=1, le=10**12, description="As if the unlabeled dataset had so many; null: as it is."
    )
    sample_seconds: float = Field(
        default=5.0, ge=0.5, le=600, description="For each thing that is timed, beside the start of its processes."
    )


class EstimateRequest(EstimateSettings):
    """The body of POST /plans: the bill of a run before it is started."""

    run: RunConfig = Field(description="As it would be posted to /runs.")


class GenerationPlan(Frozen):
    """What one generation trains: decided when the generation is created, and never changed."""

    model: str
    recipe: Recipe
    selection: SelectionSettings
    seed: int
    search: SearchSettings | None = None
    """A stage of a student's generation, or the only one of a search."""
    ablation: AblationSettings | None = None
    """The only stage of an ablation."""
    bill: EstimateSettings | None = None
    """A plan's: what is measured, and for which cluster the bill is written."""
