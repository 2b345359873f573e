"""Fixtures of the control plane: both kinds of database, a jobs API that is a real HTTP server, a clock."""

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from service.config.run import RunConfig
from service.datasets.registration.inspector_pool import InspectorPool
from service.ray_client.jobs import RayJobs
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.schema.reconciler_tables import LeaseRow
from service.store.schema.tables import Table
from tests.support.changed_settings import settings_of
from tests.support.fake_clock import FakeClock
from tests.support.fake_ray import STARTED_AT, FakeRay, FakeRayHandler, FakeRayServer
from tests.support.served import served
from tests.support.webhook_receiver import Receiver, ReceiverServer, serving
from tests.support.workbench import MakeConfig, Workbench


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(STARTED_AT)


@pytest.fixture(scope="session")
def ray_server() -> Iterator[FakeRayServer]:
    with served(FakeRayServer(("127.0.0.1", 0), FakeRayHandler)) as server:
        yield server


@pytest.fixture(scope="session")
def ray_jobs(ray_server: FakeRayServer) -> Iterator[RayJobs]:
    """An HTTP client that all tests share, because making one takes a tenth of a second."""
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
    """A migrated database file to copy, because migrating only once is faster."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without rows."""
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


@pytest.fixture
def bench(
    database: Database,
    database_url: str,
    ray: FakeRay,
    ray_jobs: RayJobs,
    clock: FakeClock,
    tmp_path: Path,
    inspectors: InspectorPool,
) -> Workbench:
    settings = settings_of(
        home=tmp_path / "home",
        database_url=database_url,
        ray__jobs_url=ray.url,
        ray__dashboard_url="https://ray.example",
        ray__python_executable="my python",
    )
    bench = Workbench(database, settings, ray, ray_jobs, clock, inspectors)
    bench.add_dataset("ds-labeled", "labeled")
    bench.add_dataset("ds-unlabeled", "unlabeled")
    bench.add_dataset("ds-validation", "evaluation")
    bench.add_dataset("ds-test", "evaluation")
    return bench


@pytest.fixture
def run_config() -> MakeConfig:
    """A function that makes run configurations, by default with one teacher and one student."""

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


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    """A run that has just been created."""
    return bench.commands.create_run(run_config()).id


@pytest.fixture(scope="module")
def receiver_server() -> Iterator[ReceiverServer]:
    with serving() as server:
        yield server


@pytest.fixture
def receiver(receiver_server: ReceiverServer) -> Receiver:
    receiver_server.receiver = Receiver(url=receiver_server.receiver.url)
    return receiver_server.receiver
