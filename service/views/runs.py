"""The API's answers about runs, generations, stages, attempts, models, events, metrics and logs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from service.config.names import DEFAULT_PROJECT
from service.config.run import GenerationPlan, RunConfig
from service.lifecycle.states import RunKind
from service.views.base import View
from service.views.queue import QueuePlace
from workers.specs.devices import Devices
from workers.specs.hygiene import JudgedOn
from workers.specs.reports import Progress, WaitKind
from workers.specs.stages import StageName

_UNREADABLE = "null if another version of the service wrote it and this one cannot read it."


class AttemptView(View):
    number: int
    submission_id: str = Field(description="The id of the Ray job.")
    state: str
    failure_reason: str | None
    failure_message: str | None
    dashboard_url: str | None = Field(
        description="The job's page in the Ray dashboard; null before submission and after Ray has deleted the job."
    )
    job_url: str = Field(
        default="",
        description="A path of the service that leads to the job in Ray's dashboard while Ray has the job, and to its "
        "saved log afterwards. Empty before submission.",
    )
    log_saved: bool = Field(default=False, description="Whether the log is saved in the artifact root.")
    devices: Devices | None = Field(
        default=None,
        description="What the attempt is charged for: as its driver decided on the cluster, before that as the run "
        "requests. Null for an attempt of an earlier release.",
    )
    created_at: datetime
    submitted_at: datetime | None
    finished_at: datetime | None


class StageWait(View):
    """Why a stage that is on the cluster cannot begin its work, for as long as this is true."""

    generation: int
    stage: StageName
    kind: WaitKind | None = Field(description="Null if a stage of an earlier release reports the wait.")
    reason: str
    since: datetime


class StageTimes(View):
    """How a stage's wall time is divided, in seconds. total = work + overhead."""

    total_seconds: float
    work_seconds: float
    overhead_seconds: float
    waiting_seconds: float = Field(description="From ready until the Ray job was submitted.")
    start_seconds: float = Field(description="From submission until the stage's process began.")
    setup_seconds: float = Field(description="Imports, workers and model, until the work began.")
    finish_seconds: float = Field(description="From the end of the work until the service had seen the result.")


class StageView(View):
    id: str
    run_id: str
    generation: int
    name: StageName
    state: str
    folder_uri: str
    attempts: list[AttemptView]
    progress: Progress | None = Field(description="The stage's last report; null before the stage began.")
    result: dict[str, Any] | None = Field(
        description="result.json, once the stage has succeeded, without confusion matrices, which have their own "
        "route. Listings of several stages also omit per-class values and the names of tensors."
    )
    times: StageTimes | None = Field(description="Present once the stage has succeeded.")
    ready_at: datetime | None
    finished_at: datetime | None


class ModelView(View):
    id: str
    run_id: str
    generation: int
    model: str
    parameters: int
    uri: str = Field(description="Folder of model.safetensors, config.json (timm's) and model.json.")
    validation_top1: float | None = Field(
        default=None,
        description="Accuracy on validation images in 0..1; of an imported model, on the images of its check. Null if "
        "it was not measured.",
    )
    test_top1: float | None = Field(
        description="Null until the generation's evaluate stage has succeeded, and for an imported model."
    )
    created_at: datetime
    kept: bool = Field(
        default=False, description="Whether retention keeps the model and everything in its run that it came from."
    )
    imported_from: str | None = Field(
        default=None, description="The file of weights of a model that was trained elsewhere; null for others."
    )
    weights_digest: str | None = Field(default=None, description="SHA-256 of that file, in hexadecimal digits.")


class GenerationView(View):
    number: int
    state: str
    plan: GenerationPlan | None = Field(description=f"What the generation trains; {_UNREADABLE}")
    stages: list[StageView]
    model: ModelView | None = Field(
        description="The model that the generation trained, or the teacher that the run was given, with its "
        "accuracies on this run's images. Null while there is none."
    )
    promoted: bool | None = Field(
        default=None, description="Whether the gate accepts the model as a teacher; null if no gate has judged it."
    )
    gate_reason: str | None = Field(default=None, description="Why the model was not promoted.")
    gate_on: JudgedOn | None = Field(
        default=None,
        description="The images on which the gate judged. If they are the test images, the test accuracy of the run is "
        "optimistic. Null if no gate has judged the model.",
    )


class RunSummary(View):
    id: str
    kind: RunKind = RunKind.RUN
    name: str
    project: str = DEFAULT_PROJECT
    priority: int = 0
    state: str
    queue: QueuePlace | None = Field(
        default=None, description="The stage's place in the queue; null if it need not wait."
    )
    waiting: StageWait | None = Field(
        default=None, description="What the run's stage on the cluster waits for; null if it does not wait."
    )
    state_reason: str | None = Field(description="Why a failed run failed.")
    generations: int = Field(description="Number of generations so far, including the teacher's.")
    created_at: datetime
    finished_at: datetime | None


class RunView(RunSummary):
    config: RunConfig | None = Field(description=f"The requested configuration; {_UNREADABLE}")
    generation_details: list[GenerationView]
    warnings: list[str] = Field(default=[], description="Consequences of the configuration that may be unintended.")


class EventView(View):
    """One line of a run's history, or of the service's."""

    id: int = Field(description="Grows with time, over all runs.")
    run_id: str | None = Field(description="Null if the event concerns no run, such as the registration of a dataset.")
    at: datetime
    generation: int | None
    stage: StageName | None
    attempt: int | None
    kind: str
    message: str


class MetricRow(View):
    """One row that a stage logged: `step` and named numbers."""

    attempt: int
    step: int
    at: float
    values: dict[str, float]


class ConfusionMatrix(View):
    classes: list[str]
    counts: list[list[int]] = Field(description="counts[i][j]: images of true class i predicted as class j.")


class StageConfusion(View):
    matrices: dict[str, ConfusionMatrix] = Field(
        description="By what was evaluated: test; validation, if the gate looks there; pseudo_labels, if their true "
        "labels are known; external.NAME."
    )


class StageMetrics(View):
    """The metric rows that a stage has logged."""

    rows: list[MetricRow] = Field(description="Ordered by attempt, then step.")


class LogTail(View):
    attempt: int
    submission_id: str
    lines: list[str]
    source: Literal["ray", "artifact_root"] | None = Field(
        description="ray while the job exists, artifact_root afterwards; null if there is nothing to read."
    )
    note: str | None = Field(default=None, description="Why there are no lines.")
