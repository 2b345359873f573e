"""`noisy-student models register`, and a run that the model teaches, against a real server on loopback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from noisy_student.client import Client
from tests.support.application import StubRay

Cli = Callable[..., Result]


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(commands, list(arguments))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The stand-in for Ray reads no file, but one is named."""
    file = tmp_path / "images" / "model.safetensors"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    return file


@pytest.mark.usefixtures("reconciling")
def test_a_model_is_registered_shown_and_teaches_a_run(
    cli: Cli, weights: Path, datasets: dict[str, str], server: str, run_config: dict[str, Any]
) -> None:
    known = ["--model", "test_resnet", "--classes", "cat, dog", "--image-size", "48", "--images", "3"]
    done = cli("models", "register", str(weights), "--check", datasets["test"], *known, "--wait", "-o", "json")
    assert done.exit_code == 0, done.output + done.stderr
    registration = json.loads(done.stdout)
    assert registration["name"] == "model.safetensors"
    assert registration["settings"]["classes"] == ["cat", "dog"]
    assert registration["settings"]["input"]["image_size"] == 48
    model = registration["model"]["id"]
    for name in ("model.json", "model.safetensors"):  # which the stand-in for Ray has not written
        (Path(registration["model"]["uri"]) / name).write_text("{}")
    shown = cli("models", "show", model).stdout
    assert f"{weights} (SHA-256 " in shown
    assert cli("models", "lineage", model, "--run-config").exit_code == ExitCode.USAGE

    body = {name: value for name, value in run_config.items() if name not in ("teacher_model", "teacher_recipe")}
    with Client(server) as client:
        run = client.runs.create({**body, "teacher": {"model": model}}).wait(timeout_seconds=60)
        assert run.state == "succeeded"
        assert [each.id for each in client.models.registrations()] == [registration["id"]]
    assert [stage.name for stage in run.generation_details[0].stages] == ["evaluate"]


@pytest.mark.usefixtures("reconciling")
def test_a_model_that_fails_its_check_ends_the_command_with_the_reason(
    cli: Cli, weights: Path, datasets: dict[str, str], ray: StubRay, tmp_path: Path
) -> None:
    ray.failing = {"verify": "settings.classes: the classifier has 3 outputs"}
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    arguments = [str(weights), "--check", datasets["test"], "--classes", f"@{tmp_path / 'names.txt'}", "--wait"]
    done = cli("models", "register", *arguments)
    assert done.exit_code == ExitCode.RUN_FAILED
    assert "the classifier has 3 outputs" in done.stdout


def test_without_waiting_the_command_says_what_to_wait_for(cli: Cli, weights: Path, datasets: dict[str, str]) -> None:
    done = cli("models", "register", str(weights), "--check", datasets["test"])
    assert done.exit_code == 0, done.output
    assert "running" in done.stdout
