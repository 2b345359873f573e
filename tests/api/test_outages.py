"""While the database or the artifact store is away, the API answers 503 and says when to retry."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from benchmarks.support.postgres_server import PostgresMissing, PostgresServer
from service.retention import files as retention_files
from service.runs import logs as log_reader
from service.runs import progress as progress_reader
from service.settings import Settings
from service.store.migrate import upgrade
from service.views.problem import PROBLEM_MEDIA_TYPE
from tests.support.application import StubRay
from tests.support.changed_settings import settings_of


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A database server that the test may kill."""
    try:
        server = PostgresServer(durable=True)
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    with server:
        yield server


def assert_come_back_later(answer: Any, slug: str) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == PROBLEM_MEDIA_TYPE
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["type"].endswith(slug)


def test_a_killed_database_is_a_503_until_it_is_back(postgres: PostgresServer, tmp_path: Path) -> None:
    upgrade(postgres.url())
    settings = settings_of(home=tmp_path, database_url=postgres.url(), access__allowed_hosts=("testserver",))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert client.get("/runs").status_code == 200

        postgres.kill()
        for path in ("/runs", "/datasets", "/models", "/runs/run-1"):
            answer = client.get(path)
            assert_come_back_later(answer, "database-unavailable")
            assert str(postgres.folder) not in answer.text
        assert_come_back_later(client.post("/runs/run-1/cancel"), "database-unavailable")
        assert client.get("/healthz").status_code == 200

        postgres.start()
        assert client.get("/runs").status_code == 200


def test_a_dataset_that_cannot_be_written_down_is_a_503_and_not_registered(
    client: TestClient, settings: Settings, write_images: Callable[..., Path]
) -> None:
    root = Path(settings.artifact_root)
    root.mkdir(parents=True, exist_ok=True)
    (root / "datasets").write_text("in the way of the folder of that name")
    uri = str(write_images("labeled", 0))
    answer = client.post("/datasets", json={"name": "digits", "role": "labeled", "uri": uri})

    assert_come_back_later(answer, "artifact-store-unavailable")
    assert "Not a directory" in answer.json()["detail"]
    assert client.get("/datasets").json()["items"] == []


def test_a_run_is_shown_without_progress_while_the_artifact_store_is_away(
    client: TestClient, run_id: str, reconcile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(progress_reader, "read_bytes_if_there", stale)
    reconcile()
    run = client.get(f"/runs/{run_id}").json()
    assert run["state"] == "succeeded"
    assert run["generation_details"][0]["stages"][0]["progress"] is None
    metrics = client.get(f"/runs/{run_id}/generations/0/stages/train/metrics")
    assert_come_back_later(metrics, "artifact-store-unavailable")


def test_saved_logs_and_the_retention_plan_are_a_503_while_the_artifact_store_is_away(
    client: TestClient,
    run_config: dict[str, Any],
    reconcile: Callable[[], None],
    ray: StubRay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    run_id = client.post("/runs", json={**run_config, "retention": {"min_age_seconds": 0}}).json()["id"]
    reconcile()
    ray.printed = None
    monkeypatch.setattr(log_reader, "read_bytes_if_there", stale)
    logs = client.get(f"/runs/{run_id}/generations/0/stages/train/logs")
    assert_come_back_later(logs, "artifact-store-unavailable")

    monkeypatch.setattr(retention_files, "walk_files", stale)
    assert_come_back_later(client.get("/retention/plan"), "artifact-store-unavailable")


def test_every_route_but_the_health_ones_documents_it(client: TestClient) -> None:
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for operation in operations.values():
            if path not in ("/healthz", "/readyz"):
                assert "Retry-After" in operation["responses"]["503"]["headers"], path
