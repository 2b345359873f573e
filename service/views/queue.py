"""The API's answers about the queue and about projects."""

from datetime import datetime

from pydantic import Field

from service.views.base import View
from workers.specs.stages import StageName


class QueuePlace(View):
    """The place in the queue of a stage that has to wait."""

    position: int = Field(description="Position in the queue, from 1.")
    reason: str = Field(description="What the stage waits for: a free slot, or its project's quota.")


class QueuedStage(QueuePlace):
    run_id: str
    run_name: str
    project: str
    priority: int
    generation: int
    stage: StageName
    ready_at: datetime


class QueueView(View):
    """The queued stages of the runs that the caller may see. Positions count the stages of all runs."""

    max_concurrent_stages: int | None = Field(description="The service's setting; null: no limit.")
    running_stages: int = Field(description="Stages with an attempt on the cluster, of runs that the caller may see.")
    waiting_stages: int
    waiting: list[QueuedStage] = Field(description="The first waiting stages, in order.")


class ProjectView(View):
    name: str
    quota_device_hours: float | None = Field(description="Null: no limit.")
    spent_device_hours: float = Field(
        description="For all attempts, including running ones: hours times GPUs, or CPUs if an attempt has no GPU."
    )
    exhausted: bool = Field(description="Whether the project's stages must wait for a larger quota.")
