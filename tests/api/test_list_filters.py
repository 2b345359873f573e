"""Listings are narrowed by state, project and time, on the server and on the command line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from noisy_student import Client
from noisy_student.cli.main import app as commands
from tests.support.application import StubRay


@pytest.fixture
def three_runs(
    client: TestClient, finished_run: str, run_config: dict[str, Any], reconcile: Callable[[], None], ray: StubRay
) -> list[str]:
    """The ids of a run that has succeeded, one of another project that has been cancelled, and one under way."""
    names = [finished_run]
    for project in ("vision", "default"):
        names.append(client.post("/runs", json={**run_config, "project": project}).json()["id"])
    client.post(f"/runs/{names[1]}/cancel")
    ray.holding = True
    reconcile()
    return names


def _ids(client: TestClient, path: str, **query: Any) -> list[str]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


def test_runs_are_listed_by_state_project_and_time(client: TestClient, three_runs: list[str]) -> None:
    done, cancelled, going = three_runs
    assert _ids(client, "/runs", state="succeeded") == [done]
    assert _ids(client, "/runs", state=["cancelled", "running"]) == [going, cancelled]
    assert _ids(client, "/runs", project="vision") == [cancelled]
    assert _ids(client, "/runs", project="vision", state="running") == []
    assert _ids(client, "/runs", project="nobodys") == []
    now = datetime.now(UTC)
    for since, found in ((now - timedelta(hours=1), three_runs[::-1]), (now + timedelta(hours=1), [])):
        for written in (
            since.isoformat(),
            since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            since.replace(tzinfo=None).isoformat(),
        ):
            assert _ids(client, "/runs", since=written) == found


def test_datasets_and_models_are_listed_by_project_and_time(client: TestClient, three_runs: list[str]) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for path in ("/datasets", "/models"):
        assert _ids(client, path, project="default") == _ids(client, path) != []
        assert _ids(client, path, project="vision") == []
        assert _ids(client, path, since=ahead) == []
    assert _ids(client, "/models", run_id=three_runs[0], project="vision") == []
    assert client.get("/datasets", params={"state": "running"}).status_code == 200  # datasets have no state


def test_searches_ablations_and_plans_are_listed_by_state(
    client: TestClient, finished_run: str, run_config: dict[str, Any]
) -> None:
    search = client.post("/searches", json={"run_id": finished_run, "generation": 1}).json()["id"]
    plan = client.post("/plans", json={"run": run_config}).json()["id"]
    for path, found in (("/searches", search), ("/plans", plan)):
        assert _ids(client, path, state="running") == [found]
        assert _ids(client, path, state="failed") == []
        assert _ids(client, path, project="default", since="2026-01-01") == [found]
    assert _ids(client, f"/runs/{finished_run}/ablations", state="failed") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "asleep"}, "state.0"),
        ({"state": ["running", "x"]}, "state.1"),
        ({"state": ["running"] * 20}, "state"),
        ({"project": "a/b"}, "project"),
        ({"project": "a" * 101}, "project"),
        ({"since": "2d"}, "since"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(client: TestClient, query: dict[str, Any], field: str) -> None:
    for path in ("/runs", "/plans"):
        answer = client.get(path, params=query)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_page_of_another_filter_is_refused(client: TestClient, three_runs: list[str]) -> None:
    cursor = client.get("/runs", params={"limit": 1, "state": ["running", "cancelled"]}).json()["next_cursor"]
    assert _ids(client, "/runs", limit=1, state=["cancelled", "running"], cursor=cursor) == [three_runs[1]]
    refused = client.get("/runs", params={"limit": 1, "cursor": cursor})
    assert refused.json()["errors"][0]["message"] == "the cursor is of a listing with other filters"


def test_the_client_and_the_command_line_filter_on_the_server(
    server: str, three_runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done, cancelled, going = three_runs
    with Client(server) as client:
        assert [run.id for run in client.runs.list(state=["running", "cancelled"])] == [going, cancelled]
        assert [run.id for run in client.runs.list(state="running", since=datetime.now(UTC) - timedelta(days=1))] == [
            going
        ]
        assert [run.id for run in client.runs.list(project="vision")] == [cancelled]
        assert list(client.models.list(project="vision")) == list(client.datasets.list(since="2100-01-01")) == []
    monkeypatch.setenv("NOISY_STUDENT_API", server)

    def listed(*words: str) -> list[str]:
        found = CliRunner().invoke(commands, [*words, "-o", "json"])
        assert found.exit_code == 0, found.output
        return [each["id"] for each in json.loads(found.stdout)]

    assert listed("runs", "list", "--state", "succeeded", "--state", "cancelled", "--since", "2d") == [cancelled, done]
    assert listed("runs", "list", "--project", "vision", "--since", "2026-01-01") == [cancelled]
    assert listed("runs", "list", "--since", "2100-01-01T00:00:00+02:00") == []
    assert listed("models", "list", "--project", "default", "--since", "1h", "--limit", "1") == [f"{done}-g2"]
    assert listed("datasets", "list", "--project", "vision") == listed("plans", "list", "--state", "failed") == []
    wrong = CliRunner().invoke(commands, ["runs", "list", "--state", "asleep"])
    assert wrong.exit_code == 4
    assert "'running'" in wrong.stderr
