"""The files in examples/ work: run bodies on the command line, scripts as they are."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisy_student import Client
from noisy_student.cli.main import app as commands
from tests.support.application import StubRay

EXAMPLES = Path(__file__).parents[2] / "examples"
BODIES = sorted((EXAMPLES / "runs").glob("*.yaml"))
Script = Callable[..., str]


@pytest.fixture
def script(server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Runs a script of examples/ against the server, and returns its output."""
    monkeypatch.setenv("NOISY_STUDENT_API", server)

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_there_are_five_bodies_and_three_scripts() -> None:
    assert (len(BODIES), len(list(EXAMPLES.glob("*.py")))) == (5, 3)


@pytest.mark.parametrize("body", BODIES, ids=[file.stem for file in BODIES])
def test_a_body_starts_a_run(body: Path, server: str, datasets: dict[str, str], tmp_path: Path) -> None:
    text = body.read_text(encoding="utf-8")
    for part, dataset in datasets.items():
        assert f"ds-{part}" in text
        text = text.replace(f"ds-{part}", dataset)
    (tmp_path / body.name).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(commands, ["runs", "create", "-f", str(tmp_path / body.name), "--api", server])
    assert done.exit_code == 0, done.output


@pytest.mark.usefixtures("reconciling")
def test_a_run_is_started_and_waited_for(script: Script, write_images: Callable[..., Path]) -> None:
    places = [
        write_images("labeled", 0),
        write_images("unlabeled", 100, rows=6, classes=()),
        write_images("validation", 200),
        write_images("test", 300),
    ]
    printed = script("start_and_wait.py", str(EXAMPLES / "runs" / "first.yaml"), *map(str, places))
    assert "succeeded" in printed
    assert "generation 1: test_resnet, test accuracy 0.9" in printed


def test_label_quality_is_shown_as_tables(script: Script, finished_run: str) -> None:
    printed = script("label_quality.py", finished_run)
    assert "validation_top1" in printed
    assert "kept" in printed
    assert "loss" in printed


@pytest.mark.usefixtures("reconciling")
def test_a_failed_run_is_tried_again(script: Script, server: str, run_id: str, ray: StubRay) -> None:
    ray.failing["train"] = "out of luck"
    with Client(server) as client:
        assert client.runs.wait(run_id, timeout_seconds=60).state == "failed"
        events = len(list(client.runs.events(run_id)))
        printed = script("act_on_failures.py", "0", str(events + 4))
        assert f"{run_id}: " in printed
        assert "out of luck" in printed
        assert "last line" in printed
        assert "run_retried" in {event.kind for event in client.runs.events(run_id)}
