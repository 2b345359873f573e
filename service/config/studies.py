"""The requests for a search and an ablation."""

from pydantic import Field

from service.config.names import Name, Reference
from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen
from workers.specs.recipe import Recipe
from workers.specs.search import SearchSettings
from workers.specs.text import ModelName


class SearchRequest(Frozen):
    """The body of POST /searches: a search for the student of one of a run's generations."""

    run_id: Reference = Field(description="The run whose datasets, pseudo labels and recipe the search uses.")
    generation: int = Field(ge=0, le=1_000_000, description="0 searches for a teacher on labeled images only.")
    name: Name | None = None
    settings: SearchSettings = SearchSettings()
    model: ModelName | None = Field(default=None, description="For the first trial. Default: the generation's.")
    recipe: Recipe | None = Field(default=None, description="For the first trial. Default: the generation's.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)


class AblationRequest(Frozen):
    """The body of POST /runs/{id}/ablations."""

    generation: int | None = Field(
        default=None, ge=1, le=1_000_000, description="The generation whose student is studied. Default: the last."
    )
    name: Name | None = None
    settings: AblationSettings = AblationSettings()
    model: ModelName | None = Field(default=None, description="For the full student. Default: the generation's.")
    recipe: Recipe | None = Field(default=None, description="For the full student. Default: the generation's.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)
