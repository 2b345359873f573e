"""All that the specs of one run's stages are made of, as it is on record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.config.run import GenerationPlan, RunConfig
from service.lifecycle.teachers import teacher_generation
from service.model_catalog import CatalogModel, load_catalog
from workers.specs.recipe import Recipe
from workers.specs.results import SearchResult


@dataclass(frozen=True)
class TrainedModel:
    """A model that the run has trained."""

    model: str
    """Its timm name."""
    uri: str
    test_top1: float | None


@dataclass(frozen=True)
class SpecInputs:
    """All that specs of one run are made of."""

    run_id: str
    source_run_id: str
    """Whose labels and models are used: the run's own, or those of the run that a search or an ablation is about."""
    config: RunConfig
    classes: tuple[str, ...]
    plans: Mapping[int, GenerationPlan]
    """By generation."""
    models: Mapping[int, TrainedModel]
    """The models trained so far, by generation."""
    hashed_datasets: frozenset[str]
    """Those of the run's datasets whose content hashes are on file."""
    projects: frozenset[str] = frozenset()
    """Those that the run's datasets belong to."""
    not_promoted: frozenset[int] = frozenset()
    """Generations whose models the gate does not let teach."""
    searches: Mapping[int, SearchResult] = field(default_factory=dict)
    """The results of search stages, by generation."""
    reference: tuple[str, int] | None = None
    """Run and generation of the model that robustness is measured against; None: the run's first."""
    catalog: Mapping[str, CatalogModel] = field(default_factory=load_catalog)

    def teacher_of(self, generation: int) -> TrainedModel:
        """The last student before this generation that may teach."""
        return self.models[self.teacher_generation(generation)]

    def teacher_generation(self, generation: int) -> int:
        """Whose student that is."""
        found = teacher_generation(generation, self.models, self.not_promoted)
        if found is None:
            raise ValueError(f"no model of {self.run_id} may teach generation {generation}")
        return found

    def student_of(self, generation: int) -> tuple[str, Recipe]:
        """What the generation trains: its plan, or what its search found."""
        plan, search = self.plans[generation], self.searches.get(generation)
        return (plan.model, plan.recipe) if search is None else (search.outcome.model, search.outcome.recipe)
