"""What the control plane's tests share: both kinds of database, a Ray jobs API that is a real HTTP server, a clock."""

import json
import shlex
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from benchmarks.loopback_handler import LoopbackHandler
from service.artifact_layout import ArtifactLayout
from service.dataset_inspection import DatasetRequest, InspectedDataset
from service.dataset_inspection.digest import DatasetDigest
from service.derived_commands import DerivedCommands
from service.derived_queries import DerivedQueries
from service.model_catalog import CatalogModel
from service.queue_places import QueuePlaces
from service.ray_jobs import RayJobs
from service.reconcile.job_statuses import LOST_AFTER_SECONDS
from service.reconcile.loop import Reconciler
from service.run_commands import RunCommands
from service.run_config import RunConfig
from service.run_queries import RunQueries
from service.settings import Settings
from service.store.database import Database
from service.store.dataset_store import insert_dataset
from service.store.migrate import upgrade
from service.store.tables import LeaseRow, Table
from tests.fake_clock import FakeClock
from tests.service.measurements import made_measurement
from tests.service.webhook_receiver import Receiver, ReceiverServer, serving
from workers.artifact_io import join_uri, read_bytes, write_bytes
from workers.data.hashes import write_hashes
from workers.specs.ablation import AblationOutcome
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.reports import FailureReason, StageFailure
from workers.specs.results import (
    AblateResult,
    AnyStageResult,
    EvaluateResult,
    LabelResult,
    MeasureResult,
    Metrics,
    SearchResult,
    SelectResult,
    StageTiming,
    TrainResult,
)
from workers.specs.search import SearchOutcome, Trial, TrialParameters
from workers.specs.stages import FAILURE_FILE, RESULT_FILE, STAGE_SPEC, AnyStageSpec

STARTED_AT = 1_800_000_000.0


@dataclass
class FakeRay:
    """A Ray head's jobs API, over real HTTP. Jobs do what the test says."""

    url: str = ""
    token: str | None = None
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    submits: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all submits, those refused included."""
    stops: list[str] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Answers that the next requests get, whatever they ask."""
    down: bool = False
    stop_ends_jobs: bool = True
    connections: int = 0

    def spec_of(self, job_id: str) -> AnyStageSpec:
        """The spec that the job was submitted with, read as the stage would read it."""
        spec_uri = shlex.split(self.jobs[job_id]["entrypoint"])[-1]
        return STAGE_SPEC.validate_json(read_bytes(spec_uri))

    def write_result(self, job_id: str, timing: StageTiming | None = None) -> None:
        """What the stage does last; the Ray job goes on running."""
        spec = self.spec_of(job_id)
        write_bytes(join_uri(spec.folder_uri, RESULT_FILE), make_result(spec, timing).model_dump_json().encode())

    def write_failure(self, job_id: str, reason: FailureReason, message: str = "it went wrong") -> None:
        spec = self.spec_of(job_id)
        failure = StageFailure(attempt=spec.attempt, reason=reason, message=message)
        write_bytes(join_uri(spec.folder_uri, FAILURE_FILE), failure.model_dump_json().encode())

    def end(self, job_id: str, status: str = "SUCCEEDED", message: str = "") -> None:
        self.jobs[job_id].update(status=status, message=message)

    def answer(self, method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        """Status and text, as Ray 2.60 gives them."""
        if self.down:
            return 503, "the head is away"
        if self.answers:
            return self.answers.pop(0)
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, "Unauthorized"
        if (method, path) == ("GET", "/api/version"):
            return 200, json.dumps({"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""})
        if (method, path) == ("GET", "/api/jobs/"):
            return 200, json.dumps(list(self.jobs.values()))
        if (method, path) == ("POST", "/api/jobs/"):
            assert body is not None
            return self._submit(body)
        if method == "DELETE":
            return self._delete(path.removeprefix("/api/jobs/"))
        return self._about_job(path.removeprefix("/api/jobs/"))

    def _delete(self, job_id: str) -> tuple[int, str]:
        if job_id not in self.jobs:
            return 404, f"Job {job_id} does not exist"
        status = self.jobs[job_id]["status"]
        if status in ("PENDING", "RUNNING"):
            return 500, f"RuntimeError: Attempted to delete job '{job_id}', but it is in a non-terminal state {status}."
        del self.jobs[job_id]
        return 200, json.dumps({"deleted": True})

    def _submit(self, body: dict[str, Any]) -> tuple[int, str]:
        self.submits.append(body)
        job_id = body["submission_id"]
        if job_id in self.jobs:
            return 500, f"Traceback...\nRuntimeError: Job with submission_id {job_id} already exists."
        self.jobs[job_id] = {**body, "status": "RUNNING", "message": "", "logs": ""}
        return 200, json.dumps({"job_id": job_id, "submission_id": job_id})

    def _about_job(self, path: str) -> tuple[int, str]:
        job_id, _, what = path.partition("/")
        if job_id not in self.jobs:
            return 404, f"Job {job_id} does not exist"
        if what == "stop":
            self.stops.append(job_id)
            if self.stop_ends_jobs:
                self.end(job_id, "STOPPED")
            return 200, json.dumps({"stopped": True})
        if what == "logs":
            return 200, json.dumps({"logs": self.jobs[job_id]["logs"]})
        return 200, json.dumps(self.jobs[job_id])


def make_result(spec: AnyStageSpec, timing: StageTiming | None = None) -> AnyStageResult:
    """A plausible result of any stage."""
    timing = timing or StageTiming(entered_at=STARTED_AT, work_started_at=STARTED_AT, work_ended_at=STARTED_AT)
    common: dict[str, Any] = {"attempt": spec.attempt, "timing": timing}
    metrics = Metrics(
        images=2,
        top1=0.5 + spec.generation / 10,
        top5=1.0,
        per_class={"cat": 0.5, "dog": 0.5},
        expected_calibration_error=0.1,
        confusion=((1, 0), (1, 0)),
    )
    match spec.stage:
        case "train":
            return TrainResult(
                **common,
                model_uri=spec.folder_uri,
                parameters=1000,
                steps=10,
                resumed_from_step=0,
                images_seen=100,
                final_loss=0.1,
                validation_top1=0.9,
                bad_images=0,
            )
        case "label":
            return LabelResult(
                **common,
                images=10,
                labeled=10,
                bad_images=0,
                shards=1,
                shards_resumed=0,
                mean_confidence=0.9,
                images_per_second=100.0,
            )
        case "select":
            return SelectResult(
                **common,
                images_labeled=10,
                dropped_bad=0,
                dropped_held_out=0,
                dropped_low_confidence=2,
                dropped_over_cap=0,
                kept=8,
                copies=8,
                classes=(),
            )
        case "search":
            trial = Trial(
                number=0,
                state="finished",
                parameters=TrialParameters(
                    model="large", rand_augment_n=1, rand_augment_m=3, dropout=0, drop_path=0, unlabeled_ratio=7
                ),
                model_parameters=1000,
                multiply_adds=10,
                steps=10,
            )
            outcome = SearchOutcome(
                trials=(trial,),
                best_trial=0,
                model="large",
                recipe=spec.base.recipe.model_copy(update={"unlabeled_ratio": 7.0}),
                steps_run=10,
                steps_of_full_trials=10,
                pareto_front=(0,),
                excluded_models=(),
            )
            return SearchResult(**common, outcome=outcome)
        case "evaluate":
            return EvaluateResult(**common, metrics=metrics, bad_images=0)
        case "measure":
            return MeasureResult(**common, measurement=made_measurement(spec.students))
        case "ablate":
            outcome_of_ablation = AblationOutcome(teacher_error=0.5, lines=(), left_out={}, trainings=())
            return AblateResult(**common, outcome=outcome_of_ablation)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(STARTED_AT)


class FakeRayServer(ThreadingHTTPServer):
    """Answers as `fake` says."""

    daemon_threads = True
    fake = FakeRay()


class FakeRayHandler(LoopbackHandler):
    server: FakeRayServer

    def setup(self) -> None:
        self.server.fake.connections += 1
        super().setup()

    def serve(self, body: bytes) -> None:
        asked = json.loads(body) if body else None
        status, answer = self.server.fake.answer(self.command, self.path, asked, self.headers.get("Authorization", ""))
        self.reply(status, answer.encode())


@pytest.fixture(scope="session")
def ray_server() -> Iterator[FakeRayServer]:
    server = FakeRayServer(("127.0.0.1", 0), FakeRayHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def ray_jobs(ray_server: FakeRayServer) -> Iterator[RayJobs]:
    """A client that all tests share: making one takes a tenth of a second."""
    client = RayJobs(f"http://127.0.0.1:{ray_server.server_address[1]}")
    yield client
    client.close()


@pytest.fixture
def ray(ray_server: FakeRayServer) -> FakeRay:
    """A Ray head without jobs."""
    ray_server.fake = FakeRay(url=f"http://127.0.0.1:{ray_server.server_address[1]}")
    return ray_server.fake


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    pattern = request.getfixturevalue("postgres_url")
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = Database(pattern.format(name="postgres"))
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
        yield pattern.format(name=name)
        connection.execute(text(f"drop database {name} with (force)"))
    admin.close()


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest tables, for copying: migrating once is quicker."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the newest tables and no rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite_file"), tmp_path / "test.db")
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url").format(name="migrated")
    database = Database(url)
    with database.write_connection() as connection:
        emptied = sorted(set(Table.metadata.tables) - {LeaseRow.__tablename__})
        connection.execute(text(f"truncate {', '.join(emptied)} restart identity"))
        connection.execute(update(LeaseRow).values(fencing_token=0, expires_at=0))
    database.close()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@dataclass
class Workbench:
    """A whole control plane on a fake Ray, with the datasets of a small run."""

    database: Database
    settings: Settings
    ray: FakeRay
    ray_jobs: RayJobs
    clock: FakeClock
    commands: RunCommands
    queries: RunQueries
    derived_commands: DerivedCommands
    derived_queries: DerivedQueries

    def add_dataset(
        self,
        dataset_id: str,
        role: Any,
        hashes: list[bytes] | None = None,
        classes: tuple[str, ...] = ("cat", "dog"),
        rows: int = 10,
    ) -> None:
        """Puts a dataset on record whose images need not exist."""
        layout = ArtifactLayout(self.settings.artifact_root)
        classes = () if role == "unlabeled" else classes
        manifest = DatasetManifest(
            dataset_id=dataset_id,
            role=role,
            format="parquet",
            classes=classes,
            rows=rows,
            shards=(Shard(uri="/data/a.parquet", rows=rows),),
        )
        content_hashes = hashes if hashes is not None else [dataset_id.encode().ljust(16, b"-")]
        write_hashes(layout.hashes(dataset_id), content_hashes)
        write_bytes(layout.manifest(dataset_id), manifest.model_dump_json().encode())
        inspected = InspectedDataset(
            manifest=manifest,
            class_counts=dict.fromkeys(classes, rows // 2) if classes else None,
            content_hashes=content_hashes,
            sampled=1,
            sampled_bad=0,
            digest=DatasetDigest(f"digest of {dataset_id}", "images"),
        )
        request = DatasetRequest(name=f"the {dataset_id}", role=role, uri="/data")
        with self.database.write() as session:
            insert_dataset(session, request, inspected, self.clock())

    _reconciler: Reconciler | None = None

    def reconciler(self) -> Reconciler:
        """The reconciler; the same each time."""
        self._reconciler = self._reconciler or self.new_reconciler()
        return self._reconciler

    def new_reconciler(self) -> Reconciler:
        """One more reconciler, as a new process would have: it takes over when the lease has ended."""
        return Reconciler(
            self.database,
            self.settings,
            self.ray_jobs,
            self.clock,
            lease_clock=lambda _session: self.clock(),
            monotonic=self.clock,
        )

    def play(self, reconciler: Reconciler, until: Callable[[str], bool]) -> None:
        """Lets the stages succeed one after the other, up to the first job for which `until` is true."""
        while True:
            reconciler.tick()
            alive = [job_id for job_id, job in self.ray.jobs.items() if job["status"] == "RUNNING"]
            if not alive:
                return
            [job_id] = alive
            if until(job_id):
                return
            self.ray.write_result(job_id)
            self.ray.end(job_id)

    def lose_jobs(self, reconciler: Reconciler) -> None:
        """The head dies and forgets, and stays forgetful for as long as it takes to be believed."""
        self.ray.jobs.clear()
        reconciler.tick()
        self.clock.advance(LOST_AFTER_SECONDS)
        reconciler.tick()

    def play_to_the_end(self, reconciler: Reconciler) -> None:
        self.play(reconciler, until=lambda _: False)


CATALOG = {
    "small": CatalogModel(parameters=100, parameters_per_class=11, drop_path=True, dropout=True, img_size=False),
    "large": CatalogModel(parameters=900, parameters_per_class=11, drop_path=True, dropout=True, img_size=False),
    "plain": CatalogModel(parameters=500, parameters_per_class=11, drop_path=False, dropout=False, img_size=False),
}


@pytest.fixture
def bench(
    database: Database, database_url: str, ray: FakeRay, ray_jobs: RayJobs, clock: FakeClock, tmp_path: Path
) -> Workbench:
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        ray_jobs_url=ray.url,
        dashboard_url="https://ray.example",
        python_executable="my python",
    )
    places = QueuePlaces(settings.max_concurrent_stages, clock, seconds=0)
    bench = Workbench(
        database=database,
        settings=settings,
        ray=ray,
        ray_jobs=ray_jobs,
        clock=clock,
        commands=RunCommands(database, settings, places, clock, CATALOG),
        queries=RunQueries(database, settings, ray_jobs, places),
        derived_commands=DerivedCommands(database, settings, clock, CATALOG),
        derived_queries=DerivedQueries(database, settings),
    )
    bench.add_dataset("ds-labeled", "labeled")
    bench.add_dataset("ds-unlabeled", "unlabeled")
    bench.add_dataset("ds-validation", "evaluation")
    bench.add_dataset("ds-test", "evaluation")
    return bench


@pytest.fixture
def run_config() -> Callable[..., RunConfig]:
    """Makes run configurations: one teacher and one student, unless told otherwise."""

    def make(**changes: Any) -> RunConfig:
        body: dict[str, Any] = {
            "name": "pets",
            "datasets": {
                "labeled": "ds-labeled",
                "unlabeled": "ds-unlabeled",
                "validation": "ds-validation",
                "test": "ds-test",
            },
            "teacher_model": "small",
            "student_models": ["large"],
            "generations": 1,
            **changes,
        }
        return RunConfig.model_validate_json(json.dumps(body))

    return make


@pytest.fixture(scope="module")
def receiver_server() -> Iterator[ReceiverServer]:
    with serving() as server:
        yield server


@pytest.fixture
def receiver(receiver_server: ReceiverServer) -> Receiver:
    receiver_server.receiver = Receiver(url=receiver_server.receiver.url)
    return receiver_server.receiver
