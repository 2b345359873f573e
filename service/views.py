"""What queries answer and the API returns: runs, generations, stages, attempts, models, datasets as values."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from service.names import DEFAULT_PROJECT
from service.plans.bill import Bill
from service.run_config import GenerationPlan, PlanSettings, RunConfig
from service.states import RunKind
from workers.specs.ablation import AblationOutcome, AblationSettings, AblationTraining
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf
from workers.specs.measure import Measurement
from workers.specs.reports import Progress
from workers.specs.search import SearchOutcome, SearchSettings, Trial
from workers.specs.stages import StageName

_UNREADABLE = "null where another version of the service wrote it, and this one cannot read it."


class View(BaseModel):
    """A value that is only ever written by the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Item = TypeVar("Item", bound=View)


class Page(View, Generic[Item]):
    """One page of a listing, newest first."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class DatasetView(View):
    id: str
    name: str
    project: str = DEFAULT_PROJECT
    role: DatasetRole
    format: DatasetFormat
    uri: str
    classes: list[str]
    rows: int
    shards: int
    class_counts: dict[str, int] | None = Field(description="Images a class; null for unlabeled datasets.")
    sampled: int = Field(description="Images that were decoded to check them.")
    sampled_bad: int = Field(description="Of those, unreadable ones.")
    created_at: datetime
    digest: str | None = Field(default=None, description="blake2b in hex, of what digest_of says.")
    digest_of: DigestOf | None = Field(
        default=None,
        description="images: content hashes and labels of all images in order, wherever they lie. files: names, sizes "
        "and times of the files, where there are too many images to hash at registration.",
    )
    warnings: list[str] = Field(
        default=[], description="What registration found and read past or left out, a sentence each."
    )


class AttemptView(View):
    number: int
    submission_id: str = Field(description="The id of the Ray job.")
    state: str
    failure_reason: str | None
    failure_message: str | None
    dashboard_url: str | None = Field(
        description="The job's page in the Ray dashboard; null before it is submitted and once Ray has let go of it."
    )
    log_saved: bool = Field(default=False, description="Whether its log is in the artifact root.")
    created_at: datetime
    submitted_at: datetime | None
    finished_at: datetime | None


class StageTimes(View):
    """Where a stage's wall time went, in seconds. total = work + overhead."""

    total_seconds: float
    work_seconds: float
    overhead_seconds: float
    waiting_seconds: float = Field(description="Ready until the Ray job was submitted.")
    start_seconds: float = Field(description="Submitted until the stage's process began.")
    setup_seconds: float = Field(description="Imports, workers and model, until work began.")
    finish_seconds: float = Field(description="End of work until the service had seen the result.")


class StageView(View):
    id: str
    run_id: str
    generation: int
    name: StageName
    state: str
    folder_uri: str
    attempts: list[AttemptView]
    progress: Progress | None = Field(description="As the stage last wrote it; null before it began.")
    result: dict[str, Any] | None = Field(description="result.json, once the stage has succeeded.")
    times: StageTimes | None = Field(description="Once the stage has succeeded.")
    ready_at: datetime | None
    finished_at: datetime | None


class ModelView(View):
    id: str
    run_id: str
    generation: int
    model: str
    parameters: int
    uri: str = Field(description="Folder of model.safetensors and model.json.")
    validation_top1: float
    test_top1: float | None = Field(description="Null until the generation's evaluate stage has succeeded.")
    created_at: datetime
    kept: bool = Field(default=False, description="Whether retention spares it and all that it came from.")


class GenerationView(View):
    number: int
    state: str
    plan: GenerationPlan | None = Field(description=f"What it trains; {_UNREADABLE}")
    stages: list[StageView]
    model: ModelView | None
    promoted: bool | None = Field(
        default=None, description="Whether the gate lets its model teach; null where no gate has judged it."
    )
    gate_reason: str | None = Field(default=None, description="Why it was not promoted.")


class QueuePlace(View):
    """Where a stage that has to wait stands in line."""

    position: int = Field(description="From 1: how many stages start before it, and itself.")
    reason: str = Field(description="What it waits for: a free place, or its project's quota.")


class QueuedStage(QueuePlace):
    run_id: str
    run_name: str
    project: str
    priority: int
    generation: int
    stage: StageName
    ready_at: datetime


class QueueView(View):
    """The queue of stages, of the runs that the caller may see; a place in it counts all."""

    max_concurrent_stages: int | None = Field(description="The service's setting; null: without a limit.")
    running_stages: int = Field(description="Stages with an attempt on the cluster, of runs that the caller may see.")
    waiting_stages: int
    waiting: list[QueuedStage] = Field(description="The first of those that wait, in their order.")


class ProjectView(View):
    name: str
    quota_device_hours: float | None = Field(description="Null: without a limit.")
    spent_device_hours: float = Field(
        description="Of all attempts, those under way included: hours times GPUs, or CPUs where a stage asks for none."
    )
    exhausted: bool = Field(description="Whether its stages have to wait for a larger quota.")


class RunSummary(View):
    id: str
    kind: RunKind = RunKind.RUN
    name: str
    project: str = DEFAULT_PROJECT
    priority: int = 0
    state: str
    queue: QueuePlace | None = Field(
        default=None, description="Where its stage stands in line; null where it does not have to wait."
    )
    state_reason: str | None = Field(description="Why a failed run failed.")
    generations: int = Field(description="Generations so far, the teacher's included.")
    created_at: datetime
    finished_at: datetime | None


class RunView(RunSummary):
    config: RunConfig | None = Field(description=f"As it was asked for; {_UNREADABLE}")
    generation_details: list[GenerationView]


class DerivedSummary(View):
    """A search or an ablation in a listing. Its id is a run's id: events, stages, logs, cancel and retry work."""

    id: str
    name: str
    run_id: str = Field(description="The run whose labels it uses.")
    generation: int
    state: str
    state_reason: str | None
    created_at: datetime
    finished_at: datetime | None


class SearchView(DerivedSummary):
    settings: SearchSettings | None = Field(description=f"As they were asked for; {_UNREADABLE}")
    trials: list[Trial] = Field(description="With their parameters, curves, states and costs, as they are now.")
    outcome: SearchOutcome | None = Field(description="Winner and Pareto front, once it has succeeded.")
    pictures: list[str] = Field(description="Paths of its pictures, once it has succeeded.")


class AblationView(DerivedSummary):
    settings: AblationSettings | None = Field(description=f"As they were asked for; {_UNREADABLE}")
    trainings: list[AblationTraining] = Field(description="As they are now.")
    outcome: AblationOutcome | None = Field(description="The table, once it has succeeded.")


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


class EventView(View):
    """One line of a run's history, or of the service's."""

    id: int = Field(description="Grows with time, over all runs.")
    run_id: str | None = Field(description="Null where no run is concerned, as when a dataset is registered.")
    at: datetime
    generation: int | None
    stage: StageName | None
    attempt: int | None
    kind: str
    message: str


class MetricRow(View):
    """One row a stage logged: `step` and named numbers."""

    attempt: int
    step: int
    at: float
    values: dict[str, float]


class LogTail(View):
    attempt: int
    submission_id: str
    lines: list[str]
    source: Literal["ray", "artifact_root"] | None = Field(
        description="ray while the job is there, the artifact root afterwards; null where there is nothing to read."
    )
    note: str | None = Field(default=None, description="Why there are no lines.")
