"""Examples of responses, as OpenAPI shows them. The service's own views show one run on digits."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from api.examples.requests import RUN_CONFIGS
from api.schemas.problem import Answers
from service.config.datasets import DatasetRequest
from service.config.presets import IMAGENET_IMAGES, preset
from service.config.run import GenerationPlan, RunConfig
from service.views.base import Page
from service.views.datasets import DatasetView
from service.views.health import Readiness, ReadinessCheck
from service.views.looks import DatasetLook, LookedAtPart
from service.views.presets import Presets
from service.views.runs import (
    AttemptView,
    ConfusionMatrix,
    EventView,
    GenerationView,
    LogTail,
    MetricRow,
    ModelView,
    RunSummary,
    RunView,
    StageConfusion,
    StageMetrics,
    StageTimes,
    StageView,
)
from workers.specs.devices import DeviceKind, Devices
from workers.specs.reports import Progress

_RUN_ID = "run-3f9c2a71d0"
_START = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
_CONFIG = RunConfig.model_validate(RUN_CONFIGS["digits"]["value"], strict=False)


def _after(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


ARCHIVE: Answers = {
    200: {
        "description": "The archive",
        "content": {
            "application/zip": {
                "schema": {"type": "string", "format": "binary"},
                "example": "the bytes of run-3f9c2a71d0-g3.zip",
            }
        },
    }
}
DATASET = DatasetView(
    id="ds-8a41c0de55",
    name="digits, labeled",
    role="labeled",
    format="parquet",
    uri="/data/digits/labeled",
    classes=["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    rows=100,
    shards=1,
    class_counts={str(digit): 10 for digit in range(10)},
    sampled=100,
    sampled_bad=0,
    created_at=_START,
)
LOOK = DatasetLook(
    uri="/data/pets",
    taken_for="a folder of images with a folder for each class, in 2 split(s): train, val",
    format="image_folder",
    files=120,
    files_are_all=True,
    parts=[
        LookedAtPart(split="train", images=100, images_are_all=True, classes=2),
        LookedAtPart(split="val", images=20, images_are_all=True, classes=2),
    ],
    classes=["cat", "dog"],
    class_count=2,
    classes_from="the names of the folders",
    columns=[],
    requests=[
        DatasetRequest(name="pets train", role="labeled", uri="/data/pets/train", format="image_folder"),
        DatasetRequest(name="pets val", role="evaluation", uri="/data/pets/val", format="image_folder"),
    ],
    warnings=[],
)
DATASET_VERSION = DATASET.model_copy(
    update={
        "id": "ds-4b7d90e12c",
        "name": "web pictures",
        "role": "unlabeled",
        "uri": "s3://pictures/web-2026-07",
        "classes": [],
        "class_counts": None,
        "rows": 120_000,
        "shards": 12,
        "version": 2,
        "previous": "ds-17c3b0a9e2",
    }
)
ATTEMPT = AttemptView(
    number=1,
    submission_id=f"{_RUN_ID}-g0-train-a1",
    state="succeeded",
    failure_reason=None,
    failure_message=None,
    dashboard_url=None,
    job_url=f"/ui/runs/{_RUN_ID}/generations/0/stages/train/attempts/1/job",
    log_saved=True,
    devices=Devices(kind=DeviceKind.CPU, count=2.0),
    created_at=_START,
    submitted_at=_after(0.1),
    finished_at=_after(82),
)
STAGE = StageView(
    id=f"{_RUN_ID}-g0-train",
    run_id=_RUN_ID,
    generation=0,
    name="train",
    state="succeeded",
    folder_uri=f"/data/artifacts/runs/{_RUN_ID}/gen-0/train",
    attempts=[ATTEMPT],
    progress=Progress(
        attempt=1,
        done=1500,
        total=1500,
        unit="steps",
        entered_at=_after(1.6).timestamp(),
        work_started_at=_after(9).timestamp(),
        updated_at=_after(81.6).timestamp(),
        values={"loss": 0.61, "images_per_second": 1330.0, "validation_top1": 0.942},
    ),
    result={"stage": "train", "parameters": 372_000, "steps": 1500, "validation_top1": 0.942, "bad_images": 0},
    times=StageTimes(
        total_seconds=82.0,
        work_seconds=72.6,
        overhead_seconds=9.4,
        waiting_seconds=0.1,
        start_seconds=1.5,
        setup_seconds=7.4,
        finish_seconds=0.4,
    ),
    ready_at=_START,
    finished_at=_after(82),
)
MODEL = ModelView(
    id=f"{_RUN_ID}-g0",
    run_id=_RUN_ID,
    generation=0,
    model="test_resnet",
    parameters=372_000,
    uri=f"/data/artifacts/runs/{_RUN_ID}/gen-0/train",
    validation_top1=0.942,
    test_top1=0.947,
    created_at=_after(82),
)
PRESETS = Presets(labeled_images=IMAGENET_IMAGES, presets=[preset("paper-b7")])
GENERATION = GenerationView(
    number=0,
    state="succeeded",
    plan=GenerationPlan(
        model="test_resnet", recipe=_CONFIG.teacher_recipe, selection=_CONFIG.selection, seed=_CONFIG.seed
    ),
    stages=[STAGE],
    model=MODEL,
)
RUN = RunView(
    id=_RUN_ID,
    name="digits",
    state="running",
    state_reason=None,
    generations=4,
    created_at=_START,
    finished_at=None,
    config=_CONFIG,
    generation_details=[GENERATION],
)
RUN_SUMMARY = RunSummary(**RUN.model_dump(include=set(RunSummary.model_fields)))
EVENT = EventView(
    id=7,
    run_id=_RUN_ID,
    at=_after(82),
    generation=0,
    stage="train",
    attempt=1,
    kind="stage_succeeded",
    message="train of generation 0 succeeded",
)
CONFUSION = StageConfusion(
    matrices={"test": ConfusionMatrix(classes=["cat", "dog"], counts=[[480, 20], [35, 465]])},
)
METRICS = StageMetrics(
    rows=[
        MetricRow(
            attempt=1,
            step=100,
            at=_after(14).timestamp(),
            values={"loss": 1.72, "images_per_second": 1310.0, "validation_top1": 0.81},
        )
    ]
)
LOG_TAIL = LogTail(
    attempt=1,
    submission_id=ATTEMPT.submission_id,
    lines=["step 1400 loss 0.62", "step 1500 loss 0.61"],
    source="artifact_root",
)
READY = Readiness(
    ready=True,
    checks=[
        ReadinessCheck(name="database", ready=True, detail="answers"),
        ReadinessCheck(name="ray", ready=True, detail="Ray 2.60.0"),
    ],
)
NOT_READY = Readiness(
    ready=False,
    checks=[
        ReadinessCheck(name="database", ready=True, detail="answers"),
        ReadinessCheck(name="ray", ready=False, detail="Ray's jobs API at http://127.0.0.1:8265 does not answer"),
    ],
)


def page_of(item: BaseModel) -> Page[Any]:
    """A listing that consists of one page with one item."""
    # With Any, pydantic serializes each item by its own class.
    return Page[Any](items=[item], next_cursor=None)


def answers(status: int, example: BaseModel, description: str) -> Answers:
    """The entry of a route's `responses` that gives its status an example."""
    return {
        status: {
            "description": description,
            "content": {"application/json": {"example": example.model_dump(mode="json")}},
        }
    }
