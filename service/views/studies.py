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
    run_id: str = Field(description="The run whose labels it uses.")
    generation: int
    state: str
    state_reason: str | None
    created_at: datetime
    finished_at: datetime | None


class SearchView(StudySummary):
    settings: SearchSettings | None = Field(description=f"As they were asked for; {_UNREADABLE}")
    trials: list[Trial] = Field(description="With their parameters, curves, states and costs, as they are now.")
    outcome: SearchOutcome | None = Field(description="Winner and Pareto front, once it has succeeded.")
    pictures: list[str] = Field(description="Paths of its pictures, once it has succeeded.")


class StageTrials(View):
    """The trials of a search stage."""

    trials: list[Trial] = Field(description="By number; the first is the recipe as it was.")


class AblationView(StudySummary):
    settings: AblationSettings | None = Field(description=f"As they were asked for; {_UNREADABLE}")
    trainings: list[AblationTraining] = Field(description="As they are now.")
    outcome: AblationOutcome | None = Field(description="The table, once it has succeeded.")
