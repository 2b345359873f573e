"""Plans, the bill before the work, as the API answers them."""

from datetime import datetime

from pydantic import Field

from service.config.run import PlanSettings, RunConfig
from service.plans.bill import Bill
from service.views.base import View
from service.views.runs import _UNREADABLE
from workers.specs.measure import Measurement


class PlanSummary(View):
    """A plan in a listing. Its id is a run's id: events, stages, logs, cancel and retry work."""

    id: str
    name: str
    state: str
    state_reason: str | None
    created_at: datetime
    finished_at: datetime | None


class PlanView(PlanSummary):
    run: RunConfig | None = Field(description=f"What is planned; {_UNREADABLE}")
    settings: PlanSettings | None = Field(description=f"As they were asked for; {_UNREADABLE}")
    bill: Bill | None = Field(description="Once everything is measured.")
    measurement: Measurement | None = Field(description="What the bill is made of.")
