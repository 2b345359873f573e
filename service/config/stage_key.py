"""The key of a stage, and the ids derived from it."""

from typing import NamedTuple

from workers.specs.model_card import model_id
from workers.specs.stages import StageName


class StageKey(NamedTuple):
    """Identifies a stage by run, generation and name. It equals the stage's primary key in the database."""

    run_id: str
    generation: int
    stage: StageName

    @property
    def model_id(self) -> str:
        """The id of the model that the generation trains."""
        return model_id(self.run_id, self.generation)

    @property
    def stage_id(self) -> str:
        """The stage's id, as people see it."""
        return f"{self.model_id}-{self.stage}"

    def submission_id(self, attempt: int) -> str:
        """Returns the id of an attempt's Ray job. Ray refuses an id that it knows, so repeated submits do no harm."""
        return f"{self.stage_id}-a{attempt}"
