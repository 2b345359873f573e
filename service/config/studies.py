"""What is asked for with a search or an ablation."""

from pydantic import Field

from service.config.names import Name, Reference
from workers.specs.ablation import AblationSettings
from workers.specs.base import Frozen
from workers.specs.recipe import Recipe
from workers.specs.search import SearchSettings
from workers.specs.text import ModelName


class SearchRequest(Frozen):
    """The body of POST /searches: a search beside a run, over the student of one of its generations."""

    run_id: Reference = Field(description="The run whose datasets, pseudo labels and recipe it uses.")
    generation: int = Field(ge=0, le=1_000_000, description="0 searches for a teacher, on labeled images alone.")
    name: Name | None = None
    settings: SearchSettings = SearchSettings()
    model: ModelName | None = Field(default=None, description="The first trial's; default: the generation's.")
    recipe: Recipe | None = Field(default=None, description="The first trial's; default: the generation's.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)


class AblationRequest(Frozen):
    """The body of POST /runs/{id}/ablations."""

    generation: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Whose student; default: the last one's."
    )
    name: Name | None = None
    settings: AblationSettings = AblationSettings()
    model: ModelName | None = Field(default=None, description="Of the full student; default: the generation's.")
    recipe: Recipe | None = Field(default=None, description="Of the full student; default: the generation's.")
    seed: int | None = Field(default=None, ge=0, lt=2**31)
