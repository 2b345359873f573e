"""Fixtures: a real store, small real datasets, the real application and reconciler. Only the Ray head is a stand-in."""

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from selenium.webdriver import Chrome

from api.access.connections import ConnectionLimits, guarded_connection
from api.app import create_app
from service.config.settings.groups import DriverPlace
from service.datasets.registration.inspector_pool import InspectorPool
from service.errors import RayUnavailable
from service.ray_client.job_status import JobStatus
from service.ray_client.jobs import JobInfo, RayJobs
from service.settings import Settings
from service.store.migrate import upgrade
from service.wiring import open_reconciling, open_services
from tests.at_once import join
from tests.browser import open_browser
from tests.support.changed_settings import settings_of
from tests.support.made_results import made_result
from workers.artifact_io import read_bytes, write_bytes
from workers.specs.devices import devices_of
from workers.specs.reports import FailureReason, Progress, StageFailure, Waiting
from workers.specs.results import AnyStageResult, StageTiming
from workers.specs.stages import FAILURE_FILE, PROGRESS_FILE, RESULT_FILE, STAGE_SPEC, AnyStageSpec, metrics_name

Register = Callable[..., str]
CLASSES = ("cat", "dog")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty, migrated database. It is made once, and each test gets a copy."""
    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    upgrade(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def settings(tmp_path: Path, migrated_database: bytes) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    (home / "noisy-student.db").write_bytes(migrated_database)
    # Nothing listens on port 9 (discard), so the real Ray client finds no head.
    # Starlette's test client sends `testserver` as Host.
    return settings_of(home=home, ray__jobs_url="http://127.0.0.1:9", access__allowed_hosts=("testserver",))


class StubRay(RayJobs):
    """A Ray head on which every job ends at once, with a result or a failure as the test decides."""

    def __init__(self) -> None:
        # No super().__init__(), because creating an unused HTTP client would take time.
        self.failing: dict[str, str] = {}
        """The failure messages of the stages that must fail, by stage."""
        self.holding = False
        """Whether jobs report progress and keep running."""
        self.waiting: Waiting | None = None
        """What the stages of jobs that keep running wait for."""
        self.away = False
        self.gpu_count = 0.0
        self.protected = True
        self.printed: str | None = "first line\nlast line\n"
        self.submitted: set[str] = set()

    def submit(
        self,
        submission_id: str,
        python_executable: str,
        spec_uri: str,
        metadata: Mapping[str, str],
        driver: DriverPlace = DriverPlace(),
    ) -> None:
        self.submitted.add(submission_id)
        spec = STAGE_SPEC.validate_json(read_bytes(spec_uri))
        _report(spec, done=50 if self.holding else 100, waiting=self.waiting if self.holding else None)
        if spec.stage in self.failing:
            message = self.failing[spec.stage]
            failure = StageFailure(attempt=spec.attempt, reason=FailureReason.USER_ERROR, message=message)
            write_bytes(f"{spec.folder_uri}/{FAILURE_FILE}", failure.model_dump_json().encode())
        elif not self.holding:
            write_bytes(f"{spec.folder_uri}/{RESULT_FILE}", _result(spec).model_dump_json().encode())

    def status(self, submission_id: str) -> JobInfo:
        if submission_id not in self.submitted:
            return JobInfo(JobStatus.UNKNOWN)
        return JobInfo(JobStatus.RUNNING if self.holding else JobStatus.SUCCEEDED)

    def stop(self, submission_id: str) -> None:
        self.holding = False

    def log_end(self, submission_id: str, max_bytes: int) -> bytes | None:
        self.version()
        return None if self.printed is None else self.printed.encode()

    def version(self) -> str:
        if self.away:
            raise RayUnavailable("Ray's jobs API does not answer")
        return "2.60.0"

    def gpus(self) -> float:
        self.version()
        return self.gpu_count

    def answers_without_token(self) -> bool:
        return not self.protected

    def close(self) -> None:
        """Does nothing, because there is no HTTP client to close."""


def _report(spec: AnyStageSpec, done: int, waiting: Waiting | None) -> None:
    progress = Progress(
        attempt=spec.attempt,
        done=done,
        total=100,
        unit="steps",
        entered_at=time.time(),
        work_started_at=time.time(),
        updated_at=time.time(),
        values={"loss": 0.25, "images_per_second": 1234.0, "validation_top1": 0.875},
        waiting=waiting,
        devices=devices_of(spec),
    )
    write_bytes(f"{spec.folder_uri}/{PROGRESS_FILE}", progress.model_dump_json().encode())
    rows = [
        f'{{"attempt": {spec.attempt}, "step": {step}, "at": 1.5, "values": {{"loss": 0.5, "validation_top1": 0.8}}}}'
        for step in (10, 20)
    ]
    write_bytes(f"{spec.folder_uri}/{metrics_name(spec.attempt)}", "\n".join(rows).encode())


def _result(spec: AnyStageSpec) -> AnyStageResult:
    now = time.time()
    timing = StageTiming(entered_at=now, work_started_at=now, work_ended_at=now)
    # The teacher reaches 80 %, the first student 90 %, the second 95 %.
    return made_result(spec, timing, top1=1 - 0.2 / 2**spec.generation)


@pytest.fixture
def ray() -> StubRay:
    return StubRay()


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application, built once because that takes a third of a second. Each test puts its own services into it."""
    return create_app(Settings(home=tmp_path_factory.mktemp("unused")))


@pytest.fixture
def app(application: FastAPI, settings: Settings, ray: StubRay, inspectors: InspectorPool) -> FastAPI:
    """The application with this test's store and the stand-in for Ray."""
    application.state.services = open_services(settings, ray_jobs=ray, inspectors=inspectors)
    return application


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def reconcile(app: FastAPI, settings: Settings, ray: StubRay) -> Callable[[], None]:
    """A function that ticks the real reconciler as often as the runs of these tests need to end."""
    reconciler = open_reconciling(settings, database=app.state.services.database, ray_jobs=ray).reconciler

    def reconcile() -> None:
        for _ in range(8):
            reconciler.tick()

    return reconcile


@pytest.fixture
def connection_limits() -> ConnectionLimits:
    """The limits of `server`; tests override them."""
    return ConnectionLimits()


@pytest.fixture
def server(app: FastAPI, connection_limits: ConnectionLimits) -> Iterator[str]:
    """The address of a real server on a free loopback port that serves the application."""
    connection = guarded_connection(connection_limits)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=connection, ws="none", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended before it had started"
        assert time.monotonic() < deadline, "the server did not start"
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    join(thread)


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """A real browser without cookies."""
    with open_browser() as chrome:
        yield chrome


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a Parquet file of distinct 8x8 pictures. Labels, if any, repeat over the rows."""

    def write(name: str, first_color: int, rows: int = 4, classes: tuple[str, ...] = CLASSES) -> Path:
        file = tmp_path / "images" / f"{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        columns = {"image": pa.array([_png(first_color + row) for row in range(rows)], pa.binary())}
        if classes:
            columns["label"] = pa.array([classes[row % len(classes)] for row in range(rows)])
        pq.write_table(pa.table(columns), file)
        return file

    return write


def _png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (color % 256, color // 256, 99)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def register(client: TestClient, write_images: Callable[..., Path]) -> Register:
    """A function that registers a dataset of pictures in the given colors over REST and returns its id."""

    def register(name: str, role: str, first_color: int, rows: int = 4, classes: tuple[str, ...] = CLASSES) -> str:
        file = write_images(name, first_color, rows, classes)
        answer = client.post("/datasets", json={"name": name, "role": role, "uri": str(file)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return register


@pytest.fixture
def datasets(register: Register) -> dict[str, str]:
    """The ids of the four datasets of a run. No two of them share a picture."""
    return {
        "labeled": register("labeled", "labeled", 0),
        "unlabeled": register("unlabeled", "unlabeled", 100, rows=6, classes=()),
        "validation": register("validation", "evaluation", 200),
        "test": register("test", "evaluation", 300),
    }


@pytest.fixture
def run_config(datasets: dict[str, str]) -> dict[str, Any]:
    """The body of a valid run."""
    recipe = {"image_size": 32, "steps": 200, "noise": {"dropout": 0.1, "drop_path": 0.1}}
    return {
        "name": "cats and dogs",
        "datasets": datasets,
        "teacher_model": "test_resnet",
        "student_models": ["test_resnet"],
        "generations": 2,
        "teacher_recipe": {**recipe, "unlabeled_ratio": 0},
        "student_recipe": recipe,
    }


@pytest.fixture
def run_id(client: TestClient, run_config: dict[str, Any]) -> str:
    """The id of a run that has just been created."""
    answer = client.post("/runs", json=run_config)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def finished_run(run_id: str, reconcile: Callable[[], None], client: TestClient) -> str:
    """The id of a run that has succeeded."""
    reconcile()
    state = client.get(f"/runs/{run_id}").json()["state"]
    assert state == "succeeded"
    return run_id


@pytest.fixture
def reconciling(app: FastAPI, settings: Settings, ray: StubRay) -> Iterator[None]:
    """Runs a reconciler in the background, for commands that wait for a run to end."""
    reconciler = open_reconciling(settings, database=app.state.services.database, ray_jobs=ray).reconciler
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            reconciler.tick()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    join(thread)
