"""The API's answers about plans, which are bills before the work."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from service.config.run import EstimateSettings, RunConfig
from service.views.base import View
from service.views.runs import _UNREADABLE
from workers.specs.measure import Measurement
from workers.specs.stages import StageName


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageBill(Line):
    """One stage of one generation. A device is what the cluster's shape counts: a GPU with its CPUs, or a CPU core."""

    generation: int
    stage: StageName
    images: int = Field(description="Images that the model processes; for select, the rows that it decides on.")
    processes: int = Field(description="Actors that label, evaluate or materialize, or workers that train.")
    devices: float = Field(description="Devices that the processes occupy; 0 if only the job's driver works.")
    images_per_second_per_device: float | None
    work_seconds: float = Field(description="From the first image to the last.")
    overhead_seconds: float = Field(description="Waiting, start, setup and finish, as in a stage's times.")
    wall_seconds: float
    device_hours: float = Field(description="Devices times wall time.")
    bytes_read: int
    bytes_written: int
    bytes_kept: int = Field(description="Bytes written that remain after the stage has ended.")
    copies_at_most: int | None = Field(
        default=None,
        description="Of select: the most selected images after repetition (max_copies_per_image); null if nothing "
        "limits them, and for other stages.",
    )
    views: int | None = Field(
        default=None,
        description="Of label: the views of each image, whose mean is its label (labeling.views); null for other "
        "stages. The times include all of them.",
    )
    teachers: int | None = Field(
        default=None,
        description="Of label: the models whose mean is the label, the teacher and labeling.further_teachers; null for "
        "other stages. Times and bytes include all of them.",
    )
    cost: float | None = Field(description="In the currency of the price; null without one.")


class Totals(Line):
    """The sums over all stages, which run one after another."""

    wall_seconds: float
    device_hours: float
    bytes_read: int
    bytes_written: int
    bytes_kept: int
    cost: float | None


class Forecast(Line):
    devices: int = Field(description="Devices of the cluster.")
    stages: list[StageBill]
    totals: Totals


class Bill(Line):
    as_configured: Forecast = Field(description="With the workers and actors that the run's resources request.")
    whole_cluster: Forecast | None = Field(
        description="With as many workers and actors as fit the given cluster; null if none was given."
    )
    assumptions: list[str] = Field(description="What the figures assume in addition to the measurement.")


class EstimateSummary(View):
    """A plan in a listing. Its id is a run's id and works for events, stages, logs, cancel and retry."""

    id: str
    name: str
    state: str
    state_reason: str | None
    created_at: datetime
    finished_at: datetime | None


class EstimateView(EstimateSummary):
    run: RunConfig | None = Field(description=f"The planned run; {_UNREADABLE}")
    settings: EstimateSettings | None = Field(description=f"The requested settings; {_UNREADABLE}")
    bill: Bill | None = Field(description="Present once everything is measured.")
    measurement: Measurement | None = Field(description="The measurements behind the bill.")
