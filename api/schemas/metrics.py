"""A stage's metric rows."""

from pydantic import Field

from service.views import MetricRow, View


class StageMetrics(View):
    """What a stage has logged."""

    rows: list[MetricRow] = Field(description="In order of attempt, then step.")
