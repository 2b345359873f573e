"""What a stage has logged: metric rows, and a search's trials."""

from pydantic import Field

from service.views.base import View
from service.views.runs import MetricRow
from workers.specs.search import Trial


class StageMetrics(View):
    """What a stage has logged."""

    rows: list[MetricRow] = Field(description="In order of attempt, then step.")


class StageTrials(View):
    """What a search stage has tried."""

    trials: list[Trial] = Field(description="By number; the first is the recipe as it was.")
