"""Which stage is meant, and the ids that are made of it."""

from typing import NamedTuple

from workers.specs.stages import StageName, model_id


class StageKey(NamedTuple):
    """A stage of a generation of a run; equal to its primary key in the database."""

    run_id: str
    generation: int
    stage: StageName

    @property
    def model_id(self) -> str:
        """The id of the model that the generation trains."""
        return model_id(self.run_id, self.generation)

    @property
    def stage_id(self) -> str:
        """The id that people see."""
        return f"{self.model_id}-{self.stage}"

    def submission_id(self, attempt: int) -> str:
        """The id of an attempt's Ray job. Ray refuses one that it knows, so a repeated submit does no harm."""
        return f"{self.stage_id}-a{attempt}"
