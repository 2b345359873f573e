"""/healthz and /readyz."""

import dataclasses
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.ray_jobs import RayJobs
from service.run_queries import RunQueries


class AnsweringRay(RayJobs):
    def version(self) -> str:
        return "2.60.0"


def _checks(answer: Any) -> dict[str, bool]:
    return {check["name"]: check["ready"] for check in answer.json()["checks"]}


@pytest.fixture
def ray_answers(app: FastAPI) -> None:
    jobs = AnsweringRay("http://127.0.0.1:9")
    app.state.services = dataclasses.replace(app.state.services, ray_jobs=jobs)


def test_alive_without_ray_and_without_a_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunQueries, "list_runs", _fail)
    assert client.get("/healthz").json() == {"status": "ok"}


def test_not_ready_without_ray(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert _checks(answer) == {"database": True, "ray": False}


@pytest.mark.usefixtures("ray_answers")
def test_ready_when_database_and_ray_answer(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()["checks"][1]["detail"] == "Ray 2.60.0"


@pytest.mark.usefixtures("ray_answers")
def test_not_ready_without_a_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunQueries, "list_runs", _fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert _checks(answer) == {"database": False, "ray": True}
    assert "secret" not in answer.text


def _fail(*_: object, **__: object) -> None:
    raise OSError("secret place is gone")
