"""What a user asks for: a run's datasets, models, recipes, selection and resources."""

from typing import Self

from pydantic import Field, model_validator

from service.names import Name
from workers.specs.frozen import Frozen, field_error
from workers.specs.recipe import Recipe, SelectionSettings
from workers.specs.stages import ActorPool, WorkerGroup

MAX_GENERATIONS = 50


class RunDatasets(Frozen):
    """Dataset ids by the part each plays."""

    labeled: str = Field(description="Role labeled: the teacher and every student train on it.")
    unlabeled: str | None = Field(default=None, description="Role unlabeled. Required for one generation or more.")
    validation: str = Field(description="Role evaluation: watched while training.")
    test: str = Field(description="Role evaluation: judged once a generation, by the evaluate stage.")
    pseudo_label_truth: str | None = Field(
        default=None,
        description="Role evaluation: the unlabeled images with their true labels, where they are known. "
        "Only the evaluate stage reads it, to say how good the pseudo labels are.",
    )


class Resources(Frozen):
    """What each stage asks of the cluster."""

    train: WorkerGroup = WorkerGroup()
    label: ActorPool = ActorPool()
    batch_size: int = Field(default=256, ge=1, description="Images a forward pass when labeling and evaluating.")
    top_k: int = Field(default=10, ge=1, description="Probabilities kept an image where classes are over 100.")


class RunConfig(Frozen):
    """The body of POST /runs."""

    name: Name
    datasets: RunDatasets
    teacher_model: str = Field(description="A timm model name.")
    student_models: tuple[str, ...] = Field(
        default=(), description="timm model names: one for all generations, or one for each."
    )
    generations: int = Field(default=3, ge=0, le=MAX_GENERATIONS, description="Students after the teacher.")
    teacher_recipe: Recipe = Recipe(unlabeled_ratio=0)
    student_recipe: Recipe = Recipe()
    selection: SelectionSettings = SelectionSettings()
    resources: Resources = Resources()
    allow_smaller_student: bool = False
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1, description="Unreadable images a stage tolerates.")
    seed: int = Field(default=0, ge=0, lt=2**31)

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


class GenerationOverrides(Frozen):
    """The body of POST /runs/{id}/generations: what the new generation does differently from the run."""

    student_model: str | None = Field(default=None, description="Default: the model of the generation before.")
    recipe: Recipe | None = Field(default=None, description="Replaces the run's student_recipe as a whole.")
    selection: SelectionSettings | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**31)


class GenerationPlan(Frozen):
    """What one generation trains: decided when the generation is created, and never changed."""

    model: str
    recipe: Recipe
    selection: SelectionSettings
    seed: int
