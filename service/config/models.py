"""Models that there are already: one that teaches a run."""

from pydantic import Field

from service.config.names import Reference
from workers.specs.base import Frozen
from workers.specs.text import ModelName


class GivenTeacher(Frozen):
    """A model that there is already, as the first teacher."""

    model: Reference = Field(
        description="The id of a model (GET /models) whose classes are those of the labeled dataset, in their order."
    )
    architecture: ModelName | None = Field(
        default=None, description="The model's timm name. The service fills it in; the stored run has it."
    )
