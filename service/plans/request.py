"""What is asked for with a plan."""

from pydantic import Field

from service.config.run import PlanSettings, RunConfig


class PlanRequest(PlanSettings):
    """The body of POST /plans: the bill of a run before it is started."""

    run: RunConfig = Field(description="As it would be posted to /runs.")
