"""The bill of a run: what each stage of each generation would take, and all of them together."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from workers.specs.stages import StageName


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageBill(Line):
    """One stage of one generation. A device is what the cluster's shape counts: a GPU with its CPUs, or a CPU core."""

    generation: int
    stage: StageName
    images: int = Field(description="That go through the model; of select, the rows it decides on.")
    processes: int = Field(description="Actors that label, evaluate or materialise, or workers that train.")
    devices: float = Field(description="That they keep busy; 0 where only the job's driver works.")
    images_per_second_per_device: float | None
    work_seconds: float = Field(description="From the first image to the last.")
    overhead_seconds: float = Field(description="Waiting, start, setup and finish, as a stage's times are counted.")
    wall_seconds: float
    device_hours: float = Field(description="Devices times wall time.")
    bytes_read: int
    bytes_written: int
    bytes_kept: int = Field(description="Of what was written, what stays when the stage has ended.")
    cost: float | None = Field(description="In the currency of the price; null without one.")


class Totals(Line):
    """Over all stages, which follow one another."""

    wall_seconds: float
    device_hours: float
    bytes_read: int
    bytes_written: int
    bytes_kept: int
    cost: float | None


class Forecast(Line):
    devices: int = Field(description="Of the cluster.")
    stages: list[StageBill]
    totals: Totals


class Bill(Line):
    as_configured: Forecast = Field(description="With the workers and actors that the run's resources ask for.")
    whole_cluster: Forecast | None = Field(
        description="With as many workers and actors as the given cluster has room for; null where none was given."
    )
    assumptions: list[str] = Field(description="What the figures rest on, beside the measurement.")


def forecast_of(devices: int, stages: Sequence[StageBill]) -> Forecast:
    """The stages with their totals."""
    costs = [stage.cost for stage in stages if stage.cost is not None]
    return Forecast(
        devices=devices,
        stages=list(stages),
        totals=Totals(
            wall_seconds=sum(stage.wall_seconds for stage in stages),
            device_hours=sum(stage.device_hours for stage in stages),
            bytes_read=sum(stage.bytes_read for stage in stages),
            bytes_written=sum(stage.bytes_written for stage in stages),
            bytes_kept=sum(stage.bytes_kept for stage in stages),
            cost=sum(costs) if costs else None,
        ),
    )
