"""/healthz and /readyz."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from service.runs.queries import RunQueries
from service.settings import Settings
from tests.support.application import StubRay


def _checks(answer: Any) -> dict[str, bool]:
    return {check["name"]: check["ready"] for check in answer.json()["checks"]}


def test_alive_without_ray_and_without_a_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunQueries, "check_database", _fail)
    assert client.get("/healthz").json() == {"status": "ok"}


def test_not_ready_without_ray(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:  # with the real client of Ray, and no head at the address
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert _checks(answer) == {"database": True, "ray": False}


def test_ready_when_database_and_ray_answer(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()["checks"][1]["detail"] == "Ray 2.60.0"


def test_not_ready_without_a_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunQueries, "check_database", _fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert _checks(answer) == {"database": False, "ray": True}
    assert "secret" not in answer.text


def test_on_a_laptop_too_it_is_not_ready_while_ray_answers_anybody(client: TestClient, ray: StubRay) -> None:
    ray.protected = False
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert _checks(answer) == {"database": True, "ray": False}


def _fail(*_: object, **__: object) -> None:
    raise OSError("secret place is gone")
