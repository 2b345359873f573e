"""The recorded inputs of the specs of a run's stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.config.run import GenerationPlan, RunConfig
from service.lifecycle.teachers import teacher_generation
from service.model_catalog import CatalogModel, load_catalog
from workers.specs.initialization import ModelInit, TeacherInit
from workers.specs.labeling import ImportedTable, LabelingModel, ReusableLabels
from workers.specs.measure import MeasuredStudent
from workers.specs.recipe import Recipe
from workers.specs.results import SearchResult


@dataclass(frozen=True)
class TrainedModel:
    """A model that the run has trained, or that it was given as its first teacher."""

    id: str
    model: str
    """The model's timm name."""
    uri: str
    validation_top1: float | None
    """Accuracy on the run's validation images, here and below in 0..1; None if it was not measured."""
    test_top1: float | None


@dataclass(frozen=True)
class SpecInputs:
    """Everything that the specs of a run's stages are built from."""

    run_id: str
    source_run_id: str
    """The run whose labels and models are used: the run itself, or the source run of a search or an ablation."""
    config: RunConfig
    classes: tuple[str, ...]
    plans: Mapping[int, GenerationPlan]
    """The plans by generation."""
    models: Mapping[int, TrainedModel]
    """The models that there are so far, by generation. A given teacher is generation 0's."""
    projects: frozenset[str] = frozenset()
    """The projects that the run's datasets belong to."""
    not_promoted: frozenset[int] = frozenset()
    """The generations whose models the gate refused as teachers."""
    searches: Mapping[int, SearchResult] = field(default_factory=dict)
    """The results of search stages, by generation."""
    initial_models: Mapping[str, str] = field(default_factory=dict)
    """The folders of the models of the service that trainings begin with, by their ids."""
    predicting_models: Mapping[str, str] = field(default_factory=dict)
    """The folders of the models that answer in predictions, by their ids."""
    reference: tuple[str, int] | None = None
    """The run and generation of the model that robustness is relative to; None for the run's own generation 0."""
    further_teachers: tuple[LabelingModel, ...] = ()
    """The models that label beside the teacher of each generation, in the order of the configuration."""
    reusable_labels: tuple[ReusableLabels, ...] = ()
    """For the spec of a label stage: the label files of stages before it that it may take over."""
    catalog: Mapping[str, CatalogModel] = field(default_factory=load_catalog)

    def teacher_of(self, generation: int) -> TrainedModel:
        """Returns the teacher of the generation: the last model before it that may teach. Raises ValueError if none."""
        return self.models[self.teacher_generation(generation)]

    def teacher_generation(self, generation: int) -> int:
        """Returns the generation that trained the teacher of `generation`. Raises ValueError if there is none."""
        found = teacher_generation(generation, self.models, self.not_promoted, self.chosen_teachers)
        if found is None:
            raise ValueError(f"no model of {self.run_id} may teach generation {generation}")
        return found

    @property
    def chosen_teachers(self) -> Mapping[int, int | None]:
        """The generations whose models someone has chosen as teachers, by the generation that they teach."""
        return {number: plan.teacher for number, plan in self.plans.items()}

    def labeler_uris(self, generation: int) -> tuple[str, ...]:
        """Returns the folders of the models whose mean labels for the generation, in alphabetical order."""
        return tuple(sorted((self.teacher_of(generation).uri, *(each.uri for each in self.further_teachers))))

    def unlabeled(self, generation: int) -> str:
        """Returns the id of the dataset that the generation labels: its plan's own, or the run's."""
        found = self.plans[generation].unlabeled or self.config.datasets.unlabeled
        assert found is not None  # run creation refuses students without an unlabeled dataset
        return found

    def teacher_ids(self, generation: int) -> tuple[str, ...]:
        """Returns the ids of the models whose mean labels for the generation: its teacher and the further ones.

        There are none for imported labels.
        """
        if self.imported(generation) is not None:
            return ()
        return (self.teacher_of(generation).id, *self.config.labeling.further_teachers)

    def imported(self, generation: int) -> ImportedTable | None:
        """Returns the labels that somebody else has made for the generation: the first one's, if the run has such."""
        labels = self.config.labeling.imported if generation == 1 else None
        return None if labels is None else ImportedTable(**dict(labels), classes=self.classes)

    @property
    def first_training(self) -> int:
        """The first generation that trains: 0, or 1 if the first teacher is given."""
        return 0 if self.config.teacher is None else 1

    def initial_model_uri(self, generation: int, recipe: Recipe) -> str | None:
        """Returns the folder of the model whose weights the recipe means; None if it means no model's."""
        match recipe.init:
            case TeacherInit():
                return self.teacher_of(generation).uri
            case ModelInit(id=name):
                return self.initial_models[name]
            case _:
                return None

    def with_initial_models(self, students: Iterable[MeasuredStudent]) -> tuple[MeasuredStudent, ...]:
        """Returns the students with the folders of the models of the service that they begin with."""
        return tuple(
            student.model_copy(update={"initial_model_uri": self.initial_models[student.recipe.init.id]})
            if isinstance(student.recipe.init, ModelInit)
            else student
            for student in students
        )

    def student_of(self, generation: int) -> tuple[str, Recipe]:
        """Returns the model and the recipe that the generation trains: its plan's, or its search's winner."""
        plan, search = self.plans[generation], self.searches.get(generation)
        return (plan.model, plan.recipe) if search is None else (search.outcome.model, search.outcome.recipe)
