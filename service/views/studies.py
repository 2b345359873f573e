"""The API's answers about searches, ablations and predictions, which are runs of one stage."""

from datetime import datetime

from pydantic import Field

from service.config.names import DEFAULT_PROJECT
from service.config.predictions import PredictionSettings
from service.views.base import View
from service.views.runs import _UNREADABLE
from workers.specs.ablation import AblationOutcome, AblationSettings, AblationTraining
from workers.specs.prediction import PredictionOutcome
from workers.specs.reports import Progress
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


class PredictionSummary(View):
    """A prediction in a listing. Its id is a run's id and works for events, stages, logs, pause, cancel and retry."""

    id: str
    name: str
    project: str = DEFAULT_PROJECT
    state: str
    state_reason: str | None
    settings: PredictionSettings | None = Field(description=f"Model, dataset and top_k; {_UNREADABLE}")
    created_at: datetime
    finished_at: datetime | None


class PredictionView(PredictionSummary):
    progress: Progress | None = Field(description="The stage's last report; null before it began.")
    outcome: PredictionOutcome | None = Field(description="Once the prediction has succeeded.")
    top1: float | None = Field(description="Accuracy in 0..1 on the images whose true label is known; else null.")
    top5: float | None = Field(description="The share of these whose true label is among the five most probable.")
    folder_uri: str = Field(description="The folder of the Parquet files, one for each shard of the dataset.")
