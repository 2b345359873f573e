"""Limits: bodies that are too large, callers that send too many requests, and a service without authentication."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.__main__ import main as serve
from api.app import create_app
from service.settings import Settings
from service.wiring import open_services
from tests.support.changed_settings import changed


@pytest.fixture
def small(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(changed(settings, server__max_body_bytes=2048))) as client:
        yield client


@pytest.mark.attack
def test_a_body_over_the_limit_is_413_whether_it_says_its_length_or_not(small: TestClient) -> None:
    body = b'{"name": "' + b"x" * 4096 + b'"}'
    headers = {"Content-Type": "application/json"}

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 512):
            yield body[start : start + 512]

    for content in (body, chunks()):
        answer = small.post("/runs", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert small.post("/runs", content=b"{}", headers=headers).status_code == 422
    assert small.post("/ui/login", content=body).status_code == 413


@pytest.mark.attack
def test_a_caller_over_its_rate_is_429_and_others_are_not(
    secured: FastAPI, as_key: Callable[..., TestClient], secured_settings: Settings
) -> None:
    limited = changed(secured_settings, access__requests_per_second=0.01, access__request_burst=3)
    first, second = as_key("viewer"), as_key("viewer")
    secured.state.services = open_services(limited, ray_jobs=secured.state.services.ray_jobs)
    assert [first.get("/runs").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = first.get("/runs")
    assert 1 <= int(refused.headers["Retry-After"]) <= 100
    assert refused.json()["type"].endswith("too-many-requests")
    assert second.get("/runs").status_code == 200
    assert first.get("/healthz").status_code == 200


@pytest.mark.attack
def test_a_guesser_is_held_back_by_address_and_whoever_shares_it_is_not(
    secured: FastAPI, anonymous: TestClient, as_key: Callable[..., TestClient], secured_settings: Settings
) -> None:
    good, session, never_seen = as_key("viewer"), TestClient(anonymous.app), as_key("viewer")
    limited = changed(secured_settings, access__requests_per_second=0.01, access__request_burst=3)
    secured.state.services = open_services(limited, ray_jobs=secured.state.services.ray_jobs)
    wrong = {"Authorization": f"Bearer nsk_000000000000_{'A' * 43}"}
    key = good.headers["Authorization"].split()[1]
    assert session.post("/ui/login", data={"key": key}, follow_redirects=False).status_code == 303
    assert [anonymous.get("/runs", headers=wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
    assert anonymous.post("/ui/login", data={"key": "x"}).status_code == 429
    assert good.get("/me").json()["kind"] == "key"
    assert session.get("/me").json()["kind"] == "session"
    assert never_seen.get("/runs").status_code == 200
    assert anonymous.get("/runs", headers=wrong).status_code == 429


@pytest.mark.attack
@pytest.mark.parametrize("host", ["::", "192.0.2.1", "example.com"])
def test_where_others_can_reach_it_the_server_does_not_start_unguarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NOISY_STUDENT_SERVER__HOST", host)
    with pytest.raises(SystemExit, match="refusing to start"):
        serve()
    assert list(tmp_path.iterdir()) == []


def test_the_process_says_why_it_does_not_start(tmp_path: Path) -> None:
    environment = {**os.environ, "NOISY_STUDENT_HOME": str(tmp_path), "NOISY_STUDENT_SERVER__HOST": "0.0.0.0"}
    done = subprocess.run([sys.executable, "-m", "api"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "NOISY_STUDENT_ACCESS__AUTHENTICATION" in done.stderr
