"""The command line against a real server on loopback."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.views.datasets import DatasetView
from service.views.runs import RunView
from tests.support.application import StubRay
from workers.specs.reports import Waiting, WaitKind

Cli = Callable[..., Any]


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command against the server; the address comes from the environment."""
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(commands, list(arguments), input=input)

    return run


def _done(result: Result) -> str:
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


def test_a_dataset_is_added_listed_and_shown(cli: Cli, write_images: Callable[..., Path]) -> None:
    file = write_images("pets", 0)
    added = _done(cli("datasets", "add", str(file), "--role", "labeled", "-o", "json"))
    dataset = DatasetView.model_validate_json(added)
    assert (dataset.name, dataset.rows) == ("pets.parquet", 4)
    assert dataset.id in _done(cli("datasets", "list"))
    shown = _done(cli("datasets", "show", dataset.id))
    assert "cat 2, dog 2" in shown
    assert json.loads(_done(cli("datasets", "list", "-o", "json")))[0]["id"] == dataset.id


def test_a_look_prints_what_a_place_is_taken_for_and_the_commands_that_register_it(
    cli: Cli, write_images: Callable[..., Path]
) -> None:
    folder = write_images("train-0", 0).parent
    write_images("val-0", 4)
    lines = _done(cli("datasets", "look", str(folder))).splitlines()
    assert "Parquet files with images, in 2 split(s): train, val (parquet)" in lines[1]
    commands = [shlex.split(line) for line in lines if line.startswith("noisy-student ")]
    assert len(commands) == 2
    for command in commands:
        assert "cat 2, dog 2" in _done(cli(*command[1:]))
    found = json.loads(_done(cli("datasets", "look", str(folder), "-o", "json")))
    assert [request["split"] for request in found["requests"]] == ["train", "val"]


def test_classes_with_commas_are_registered_by_a_body(cli: Cli, write_images: Callable[..., Path]) -> None:
    folder = write_images("train-0", 0, classes=("cat, wild", "dog", "fox")).parent
    write_images("val-0", 4, classes=("cat, wild", "dog"))
    lines = _done(cli("datasets", "look", str(folder))).splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("echo ")]
    assert [command[2:] for command in commands] == [["|", "noisy-student", "datasets", "add", "-f", "-"]] * 2
    dataset = _done(cli("datasets", "add", "-f", "-", "-o", "json", input=commands[1][1]))
    assert DatasetView.model_validate_json(dataset).classes == ["cat, wild", "dog", "fox"]


def test_a_relative_path_is_made_absolute(
    cli: Cli, write_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_images("pool", 0, classes=())
    monkeypatch.chdir(file.parent)
    added = _done(cli("datasets", "add", "pool.parquet", "--role", "unlabeled", "--name", "the pool", "-o", "json"))
    assert json.loads(added)["uri"] == str(file)


@pytest.mark.parametrize(
    "written", ["../images/pool.parquet", "./pool.parquet", "link/../pool.parquet", "~/pool.parquet"]
)
def test_a_path_is_made_normal_before_it_is_sent(
    cli: Cli, write_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    file = write_images("pool", 0, classes=())
    (file.parent / "folder").mkdir()
    (file.parent / "link").symlink_to(file.parent / "folder")
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("HOME", str(file.parent))
    added = _done(cli("datasets", "add", written, "--role", "unlabeled", "-o", "json"))
    assert (json.loads(added)["uri"], json.loads(added)["name"]) == (str(file), "pool.parquet")


def test_a_refusal_names_the_field_on_stderr_and_has_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    result = cli("datasets", "add", str(tmp_path / "absent"), "--role", "teacher")
    assert result.exit_code == ExitCode.REFUSED
    assert "role: Input should be 'labeled', 'unlabeled' or 'evaluation'" in result.stderr
    assert result.stdout == ""


def test_what_is_not_there_has_its_exit_code(cli: Cli) -> None:
    result = cli("runs", "show", "run-0000000000")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "there is no run 'run-0000000000'" in result.stderr


def test_an_id_cannot_leave_its_place_in_the_path(cli: Cli) -> None:
    result = cli("runs", "show", "../datasets")
    assert result.exit_code in (ExitCode.NOT_FOUND, ExitCode.REFUSED)


def test_an_unreachable_api_says_how_to_start_it() -> None:
    nobody = "http://127.0.0.1:9"  # the port of discard, where nothing listens
    result = CliRunner().invoke(commands, ["runs", "list", "--api", nobody])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "noisy-student up" in result.stderr
    assert "Traceback" not in result.output


def test_a_run_is_created_from_a_file_and_once_for_each_key(
    cli: Cli, run_config: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(run_config))
    first = _done(cli("runs", "create", "-f", str(file), "--idempotency-key", "k"))
    assert _done(cli("runs", "create", "-f", str(file), "--idempotency-key", "k")) == first
    assert first.startswith("run-")
    listed = json.loads(_done(cli("runs", "list", "-o", "json")))
    assert [run["name"] for run in listed] == ["cats and dogs"]
    assert "cats and dogs" in _done(cli("runs", "list"))


def test_a_run_is_created_from_standard_input(cli: Cli, run_config: dict[str, Any]) -> None:
    created = _done(cli("runs", "create", "-f", "-", "-o", "json", input=json.dumps(run_config)))
    assert RunView.model_validate_json(created).config.name == "cats and dogs"


@pytest.mark.parametrize(("text", "complaint"), [("{", "is not JSON"), ("[]", "holds no JSON object")])
def test_a_broken_file_is_named(cli: Cli, tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    result = cli("runs", "create", "-f", str(file))
    assert result.exit_code == 1
    assert f"{file} {complaint}" in result.stderr
    assert "absent.json" in cli("runs", "create", "-f", "absent.json").stderr


def test_a_run_is_cancelled_and_retried(cli: Cli, run_id: str, reconcile: Callable[[], None]) -> None:
    assert "cancelling" in _done(cli("runs", "cancel", run_id))
    reconcile()
    assert json.loads(_done(cli("runs", "show", run_id, "-o", "json")))["state"] == "cancelled"
    assert "running" in _done(cli("runs", "retry", run_id))
    assert cli("runs", "retry", run_id).exit_code == ExitCode.REFUSED


def test_a_run_is_paused_moved_and_resumed(cli: Cli, run_id: str, reconcile: Callable[[], None]) -> None:
    assert f"{run_id} asked to pause (pausing)" in _done(cli("runs", "pause", run_id))
    assert f"{run_id} has priority -5" in _done(cli("runs", "priority", run_id, "--", "-5"))
    reconcile()
    assert f"{run_id} resumed (running)" in _done(cli("runs", "resume", run_id))


def test_quotas_are_set_and_who_waits_for_one_is_listed(cli: Cli, run_id: str, reconcile: Callable[[], None]) -> None:
    assert "0 stages running, 0 waiting" in _done(cli("queue"))
    assert "exhausted" in _done(cli("projects", "quota", "default", "0"))
    reconcile()
    queue = _done(cli("queue"))
    assert "0 stages running, 1 waiting" in queue
    assert run_id in queue
    assert "place 1 in the queue: project default has spent 0.00" in " ".join(
        _done(cli("runs", "show", run_id)).split()
    )
    assert json.loads(_done(cli("queue", "-o", "json")))["waiting"][0]["position"] == 1
    assert "none" in _done(cli("projects", "quota", "default"))
    assert "default" in _done(cli("projects", "list"))
    assert json.loads(_done(cli("projects", "show", "default", "-o", "json")))["exhausted"] is False


def test_what_a_stage_on_the_cluster_waits_for_is_shown_in_full(
    cli: Cli, run_id: str, ray: StubRay, reconcile: Callable[[], None]
) -> None:
    reason = "waiting for resources: needs 2 workers of 1 CPU and 1 GPU each; a node of gpu-train is to come"
    ray.holding = True
    ray.waiting = Waiting(since=time.time(), reason=reason, exceeds_cluster=True, kind=WaitKind.NODE_COMING)
    reconcile()

    for command in (("runs", "show", run_id), ("runs", "list")):
        shown = " ".join(_done(cli(*command)).split())
        assert "node coming: generation 0 train" in shown
    assert f"node coming: generation 0 train: {reason}" in " ".join(_done(cli("runs", "show", run_id)).split())
    listed = json.loads(_done(cli("runs", "list", "-o", "json")))[0]["waiting"]
    assert (listed["kind"], listed["reason"]) == ("node_coming", reason)


def test_one_more_generation_with_overrides_of_a_file(cli: Cli, finished_run: str, tmp_path: Path) -> None:
    file = tmp_path / "overrides.json"
    file.write_text('{"selection": {"min_confidence": 0.9}}')
    run = RunView.model_validate_json(
        _done(cli("runs", "add-generation", finished_run, "--file", str(file), "-o", "json"))
    )
    assert run.generation_details[-1].plan.selection.min_confidence == 0.9


def test_watching_a_finished_run_shows_the_table_and_ends_with_0(cli: Cli, finished_run: str) -> None:
    shown = _done(cli("watch", finished_run))
    assert "generation 2 evaluate: done in" in shown
    assert "95.0 %" in shown
    assert "75.0 %" in shown  # errors fell from 20 % to 5 %
    assert "5/6" in shown
    assert "373k" in shown


def test_watching_a_failed_run_says_why_and_has_its_exit_code(
    cli: Cli, run_id: str, ray: StubRay, reconcile: Callable[[], None]
) -> None:
    ray.failing = {"select": "no image is left"}
    reconcile()
    result = cli("watch", run_id)
    assert result.exit_code == ExitCode.RUN_FAILED
    assert "no image is left" in result.stdout


def test_showing_a_run_under_way_has_its_live_numbers(
    cli: Cli, run_id: str, ray: StubRay, reconcile: Callable[[], None]
) -> None:
    ray.holding = True
    reconcile()
    shown = _done(cli("runs", "show", run_id))
    for number in ("50/100 steps", "1,234 images/s", "loss 0.250", "accuracy 87.5 %"):
        assert number in shown


def test_logs_are_those_of_the_latest_stage_by_default(cli: Cli, finished_run: str) -> None:
    result = cli("logs", finished_run)
    assert result.stdout == "first line\nlast line\n"
    assert f"{finished_run}-g2-evaluate-a1" in result.stderr
    result = cli("logs", finished_run, "--generation", "1", "--stage", "train", "--attempt", "1", "--lines", "1")
    assert result.stdout == "last line\n"
    assert f"{finished_run}-g1-train-a1" in result.stderr


def test_logs_of_a_stage_that_never_started_are_refused(cli: Cli, run_id: str) -> None:
    assert "has started no such stage yet" in cli("logs", run_id).stderr


def test_models_are_listed_and_shown(cli: Cli, finished_run: str) -> None:
    listed = json.loads(_done(cli("models", "list", "--run", finished_run, "-o", "json")))
    assert len(listed) == 3
    assert listed[0]["id"] in _done(cli("models", "list"))
    assert "95.00%" in _done(cli("models", "show", listed[0]["id"]))


def test_the_lineage_of_a_model_says_which_teachers_labeled(
    cli: Cli, finished_run: str, run_config: dict[str, Any], reconcile: Callable[[], None]
) -> None:
    teacher = f"{finished_run}-g1"
    body = json.dumps({**run_config, "labeling": {"further_teachers": [teacher]}, "generations": 1})
    refused = cli("runs", "create", "-f", "-", input=body)
    assert refused.exit_code == ExitCode.REFUSED
    assert f"labeling.further_teachers.0: {teacher} has lost its model.json and model.safetensors" in refused.stderr
    folder = Path(json.loads(_done(cli("models", "show", teacher, "-o", "json")))["uri"])
    for name in ("model.json", "model.safetensors"):
        (folder / name).write_text("{}")
    run = json.loads(_done(cli("runs", "create", "-f", "-", "-o", "json", input=body)))["id"]
    reconcile()
    shown = _done(cli("models", "lineage", f"{run}-g1"))
    assert f"the labels of {run}-g1 are the mean of its teacher and {teacher}" in shown
    assert f"labels of {run}-g0" not in shown
    assert "the labels of" not in _done(cli("models", "lineage", teacher))


def test_every_command_has_help() -> None:
    for command in ("up", "demo", "doctor", "watch", "logs", "datasets add", "runs create", "models list"):
        assert "Usage" in _done(CliRunner().invoke(commands, [*command.split(), "--help"]))


def test_without_a_command_the_help_says_how_to_begin() -> None:
    shown = " ".join(CliRunner().invoke(commands, []).output.split())
    for told in (
        "noisy-student up",
        "noisy-student login URL",
        "noisy-student run --labeled",
        "Begin",
        "Administration",
    ):
        assert told in shown


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("noisy-student ru", {"run", "runs"}),
        ("noisy-student runs cl", {"clone"}),
        ("noisy-student runs list --st", {"--state"}),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, completed: set[str]) -> None:
    asked = {
        "_NOISY_STUDENT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    begun = "import sys; from noisy_student.cli.main import app; sys.argv[0] = 'noisy-student'; app()"
    done = subprocess.run(
        [sys.executable, "-c", begun], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    assert set(done.stdout.split()) == completed, done.stderr
