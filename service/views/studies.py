"""The API's answers about searches and ablations."""

from datetime import datetime

from pydantic import Field

from service.views.base import View
from service.views.runs import _UNREADABLE
from workers.specs.ablation import AblationOutcome, AblationSettings, AblationTraining
from workers.specs.search import SearchOutcome, SearchSettings, Trial


class StudySummary(View):
    """A search or an ablation in a listing. Its id is a run's id and works for events, stages, logs, cancel, retry."""

    id: str
    name: str
    run_id: str = Field(description="The run whose labels the study uses.")
    generation: int
    state: str
    state_reason: str | None
    created_at: datetime
    finished_at: datetime | None


class SearchView(StudySummary):
    settings: SearchSettings | None = Field(description=f"The requested settings; {_UNREADABLE}")
    trials: list[Trial] = Field(description="The current trials, with parameters, curves, states and costs.")
    outcome: SearchOutcome | None = Field(description="Winner and Pareto front, once the search has succeeded.")
    pictures: list[str] = Field(description="Paths of the pictures, once the search has succeeded.")


class StageTrials(View):
    """The trials of a search stage."""

    trials: list[Trial] = Field(description="Ordered by number; the first is the unchanged recipe.")


class AblationView(StudySummary):
    settings: AblationSettings | None = Field(description=f"The requested settings; {_UNREADABLE}")
    trainings: list[AblationTraining] = Field(description="The current trainings.")
    outcome: AblationOutcome | None = Field(description="The table, once the ablation has succeeded.")
