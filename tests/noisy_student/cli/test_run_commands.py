"""Runs are started from files and from other runs, compared, waited for, and their logs followed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import delete
from typer.testing import CliRunner, Result

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.store.schema.tables import DatasetRow
from tests.support.application import StubRay

Cli = Callable[..., Result]


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words, **more: CliRunner().invoke(commands, list(words), **more)


def _done(result: Result) -> str:
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


def _config(cli: Cli, run_id: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_done(cli("runs", "show", run_id, "-o", "json")))["config"]
    return config


def test_a_run_is_created_with_changes(cli: Cli, run_config: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(run_config))
    changes = ("--set", "name=another", "--set", "student_recipe.steps=7")
    printed = _done(cli("runs", "create", "-f", str(file), *changes, "--dry-run"))
    assert yaml.safe_load(printed)["student_recipe"]["steps"] == 7
    assert _done(cli("runs", "list", "-o", "json")).strip() == "[]"
    created = json.loads(_done(cli("runs", "create", "-f", str(file), *changes, "-o", "json")))
    assert (created["name"], created["config"]["student_recipe"]["steps"]) == ("another", 7)


def test_a_run_is_cloned_with_changes(cli: Cli, finished_run: str) -> None:
    clone = json.loads(_done(cli("runs", "clone", finished_run, "--set", "student_recipe.steps=2000", "-o", "json")))
    before = _config(cli, finished_run)
    assert clone["id"] != finished_run
    assert clone["config"] == {**before, "student_recipe": {**before["student_recipe"], "steps": 2000}}


def test_a_clone_that_is_only_printed_can_be_created(cli: Cli, finished_run: str) -> None:
    printed = _done(cli("runs", "clone", finished_run, "--set", "name=printed", "--dry-run"))
    created = json.loads(_done(cli("runs", "create", "-f", "-", "-o", "json", input=printed)))
    assert created["config"] == {**_config(cli, finished_run), "name": "printed"}


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ("student_recipe.stepz=3", ExitCode.REFUSED, "student_recipe.stepz"),
        ("no.such=3", ExitCode.REFUSED, "no"),
        ("student_recipe.steps=many", ExitCode.REFUSED, "student_recipe.steps"),
        ("name.first=3", ExitCode.USAGE, "name.first: name is"),
        ("steps", ExitCode.USAGE, "is no PATH=VALUE"),
    ],
)
def test_a_change_of_what_is_not_there_is_refused_by_name(
    cli: Cli, run_id: str, change: str, code: ExitCode, told: str
) -> None:
    refused = cli("runs", "clone", run_id, "--set", change)
    assert refused.exit_code == code
    assert told in refused.stderr


def test_a_clone_whose_dataset_is_gone_says_which(cli: Cli, run_id: str, app: Any) -> None:
    gone = _config(cli, run_id)["datasets"]["unlabeled"]
    with app.state.services.database.write() as session:
        session.execute(delete(DatasetRow).where(DatasetRow.id == gone))
    refused = cli("runs", "clone", run_id)
    assert refused.exit_code == ExitCode.REFUSED
    assert "datasets.unlabeled" in refused.stderr
    assert gone in refused.stderr


def test_a_clone_with_another_preset_has_its_recipes(cli: Cli, run_id: str) -> None:
    printed = yaml.safe_load(_done(cli("runs", "clone", run_id, "--set", "preset=small-pictures", "--dry-run")))
    assert printed["preset"] == "small-pictures"
    assert not {"teacher_recipe", "student_recipe", "selection"} & printed.keys()
    kept = ("--set", "preset=small-pictures", "--set", "student_recipe.steps=9", "--dry-run")
    assert yaml.safe_load(_done(cli("runs", "clone", run_id, *kept)))["student_recipe"] == {"steps": 9}


@pytest.mark.usefixtures("reconciling")
@pytest.mark.parametrize("way", ["--wait", "--watch"])
def test_a_run_that_is_created_is_waited_for(cli: Cli, run_config: dict[str, Any], ray: StubRay, way: str) -> None:
    body = json.dumps({**run_config, "generations": 0, "student_models": []})
    ended = cli("runs", "create", "-f", "-", way, "-o", "json", input=body)
    assert json.loads(_done(ended))["state"] == "succeeded"
    ray.failing = {"train": "out of paper"}
    failed = cli("runs", "create", "-f", "-", way, input=body)
    assert failed.exit_code == ExitCode.RUN_FAILED
    assert "out of paper" in failed.stderr


def test_runs_are_compared(cli: Cli, finished_run: str) -> None:
    other = json.loads(_done(cli("runs", "clone", finished_run, "--set", "student_recipe.steps=9", "-o", "json")))["id"]
    found = json.loads(_done(cli("runs", "compare", finished_run, other, "-o", "json")))
    assert found["differences"] == [{"field": "student_recipe.steps", "values": [200, 9]}]
    [accuracy] = [each for each in found["outcomes"] if (each["generation"], each["name"]) == (2, "test_accuracy")]
    assert accuracy["values"][0]["value"] == 0.95
    assert accuracy["values"][0]["low"] < 0.95 < accuracy["values"][0]["high"]
    assert accuracy["values"][1] is None
    assert yaml.safe_load(_done(cli("runs", "compare", finished_run, other, "-o", "yaml"))) == found
    table = " ".join(_done(cli("runs", "compare", finished_run, other)).split())
    assert "student_recipe.steps 200 9" in table
    assert "generation 2 test accuracy 95.0 % (" in table
    assert cli("runs", "compare", finished_run).exit_code == ExitCode.USAGE
    assert cli("runs", "compare", finished_run, "run-none").exit_code == ExitCode.NOT_FOUND


def test_waiting_ends_with_the_code_of_the_final_state(
    cli: Cli, run_id: str, reconcile: Callable[[], None], ray: StubRay
) -> None:
    late = cli("runs", "wait", run_id, "--timeout", "0.2s")
    assert late.exit_code == ExitCode.TIMED_OUT
    assert f"{run_id} is running" in late.stderr
    assert cli("runs", "wait", run_id, "--for", "running").exit_code == ExitCode.OK
    _done(cli("runs", "cancel", run_id))
    reconcile()
    assert cli("runs", "wait", run_id).exit_code == ExitCode.RUN_CANCELLED
    assert cli("runs", "wait", run_id, "--for", "cancelled").exit_code == ExitCode.OK
    ray.failing = {"label": "no light"}
    _done(cli("runs", "retry", run_id))
    reconcile()
    failed = cli("runs", "wait", run_id, "--for", "generation=2")
    assert failed.exit_code == ExitCode.RUN_FAILED
    assert "no light" in failed.stderr
    assert cli("runs", "wait", run_id, "--for", "generation=0").exit_code == ExitCode.OK


def test_waiting_for_what_never_came_is_an_error(cli: Cli, finished_run: str) -> None:
    assert cli("runs", "wait", finished_run).stdout == f"{finished_run} succeeded\n"
    missed = cli("runs", "wait", finished_run, "--for", "paused")
    assert missed.exit_code == ExitCode.ERROR
    assert "has ended without paused" in missed.stderr
    for unknown in ("asleep", "generation=x", "generation="):
        wrong = cli("runs", "wait", finished_run, "--for", unknown)
        assert wrong.exit_code == ExitCode.USAGE
        assert "paused" in wrong.stderr
    assert cli("runs", "wait", finished_run, "--timeout", "soon").exit_code == ExitCode.USAGE


@pytest.mark.parametrize("command", [("logs",), ("runs", "logs")])
def test_logs_are_followed_to_the_end(cli: Cli, finished_run: str, command: tuple[str, ...]) -> None:
    followed = cli(*command, finished_run, "--follow")
    assert _done(followed) == "first line\nlast line\n"
    assert f"{finished_run}-g2-evaluate-a1:" in followed.stderr
    pieces = _done(cli(*command, finished_run, "--generation", "1", "--follow", "-o", "json", "--lines", "1"))
    assert json.loads(pieces.splitlines()[-1])["lines"] == ["last line"]
    assert json.loads(_done(cli(*command, finished_run, "-o", "json")))["lines"] == ["first line", "last line"]
