"""POST /plans, what its GETs show, and the same on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from rich.console import Console
from typer.testing import CliRunner

from api.examples.plans import PLAN
from noisy_student.cli.commands.plans import bill_table, duration, size
from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from tests.support.application import StubRay


def test_a_plan_is_started_shown_and_billed(
    client: TestClient, run_config: dict[str, Any], reconcile: Callable[[], None]
) -> None:
    answer = client.post("/plans", json={"run": run_config, "cluster": {"devices": 4}})
    assert answer.status_code == 201, answer.text
    plan = answer.json()
    assert answer.headers["Location"] == f"/plans/{plan['id']}"
    assert (plan["state"], plan["bill"]) == ("running", None)
    reconcile()
    found = client.get(answer.headers["Location"]).json()
    assert found["state"] == "succeeded"
    assert found["bill"]["whole_cluster"]["devices"] == 4
    assert found["bill"]["assumptions"]
    assert [each["id"] for each in client.get("/plans").json()["items"]] == [plan["id"]]
    assert client.get("/runs").json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sample_seconds": 0}, "sample_seconds"),
        ({"unlabeled_images": 0}, "unlabeled_images"),
        ({"cluster": {"devices": 0}}, "cluster.devices"),
        ({"cluster": {"devices": 4, "price_per_device_hour": -1}}, "cluster.price_per_device_hour"),
        ({"cluster": {"devices": 4, "spot": {"share": 2}}}, "cluster.spot.share"),
        ({"cluster": {"devices": 4, "surprise": 1}}, "cluster.surprise"),
        ({"cluster": {}}, "cluster.devices"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_wrong_with_a_plan_is_named(
    client: TestClient, run_config: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = client.post("/plans", json={"run": run_config, **changes})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_what_is_wrong_with_the_run_is_named_below_run(client: TestClient, run_config: dict[str, Any]) -> None:
    answer = client.post("/plans", json={"run": {**run_config, "generations": "two"}})
    assert [error["field"] for error in answer.json()["errors"]] == ["run.generations"]
    answer = client.post("/plans", json={"run": {**run_config, "teacher_model": "no_such_model"}})
    assert [error["field"] for error in answer.json()["errors"]] == ["run.teacher_model"]


def test_a_plan_that_is_not_there_is_404(client: TestClient, run_id: str) -> None:
    assert client.get("/plans/plan-1").status_code == 404
    assert client.get(f"/plans/{run_id}").status_code == 404


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments, **options: CliRunner().invoke(commands, list(arguments), **options)


def test_the_command_waits_for_the_bill_and_prints_it_within_80_columns(
    cli: Callable[..., Any], run_config: dict[str, Any], reconciling: None, tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(run_config))
    done = cli("plan", "-f", str(file), "--devices", "4", "--price", "0.5", "--unlabeled-images", "300000000")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    for said in ("label", "train", "evaluate", "all", "assumptions", "300,000,000", "whole cluster  4 devices"):
        assert said in done.stdout
    plan_id = json.loads(cli("plans", "list", "-o", "json").stdout)[0]["id"]
    assert plan_id in cli("plans", "list").stdout
    assert cli("plans", "show", plan_id).stdout == done.stdout
    shown = json.loads(cli("plans", "show", plan_id, "-o", "json").stdout)
    assert shown["settings"]["cluster"]["devices"] == 4


def test_a_plans_request_is_taken_from_standard_input_too(
    cli: Callable[..., Any], run_config: dict[str, Any], reconciling: None
) -> None:
    done = cli("plan", "-f", "-", "-o", "json", input=json.dumps({"run": run_config, "sample_seconds": 1.5}))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["settings"]["sample_seconds"] == 1.5


def test_a_plan_that_fails_has_its_exit_code_and_says_why(
    cli: Callable[..., Any], run_config: dict[str, Any], ray: StubRay, reconciling: None
) -> None:
    ray.failing = {"measure": "timm cannot build it"}
    done = cli("plan", "-f", "-", input=json.dumps(run_config))
    assert done.exit_code == ExitCode.RUN_FAILED
    assert "timm cannot build it" in done.stderr


def test_the_bill_is_a_table_of_80_columns_with_nothing_cut_off() -> None:
    assert PLAN.bill is not None
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(bill_table(PLAN, PLAN.bill))
    assert "…" not in capture.get()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (82, "82 s"), (450, "7.5 min"), (3600, "60 min"), (7200, "2.0 h"), (1e6, "11.6 d")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (3e15, "3 PB")]
)
def test_sizes_are_short(count: float, text: str) -> None:
    assert size(count) == text
