"""From pressing enter to the first training step: `noisy-student run` on folders of pictures that nobody registered.

The pictures are Fashion-MNIST's if Debian's `dataset-fashion-mnist` is installed, else the demo's digits, as PNG files
in class folders. Each run finds new pictures, so that no earlier registration helps. With a service that runs already,
and cold, where the command starts Ray, the API and the reconciler first.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from benchmarks.method.small_pictures import FASHION_FOLDER, Part, digits, fashion
from benchmarks.results import ResultRow, row, save
from noisy_student.client import Client
from noisy_student.connection import API_VARIABLE
from noisy_student.local.stack import LocalStack
from service.lifecycle.states import UNFINISHED_RUNS
from workers.specs.reports import Progress

FOLDER = Path("build/benchmark-one-line")
COMMAND = "make benchmark-one-line"
_USUAL_RUNS = 3
_UNLABELED = 2000
_LOOK_SECONDS = 0.05
_START_TIMEOUT_SECONDS = 300.0
_END_TIMEOUT_SECONDS = 60.0


def main() -> None:
    """Times as many runs as the command line says, each warm and cold, and writes the rows."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else _USUAL_RUNS
    shutil.rmtree(FOLDER, ignore_errors=True)
    home = FOLDER / "stack"
    warm, cold = [], []
    with LocalStack(home) as stack, Client(stack.api_url) as client:
        for seed in range(runs):
            warm.append(seconds_to_first_step(_pictures(seed), home, {API_VARIABLE: stack.api_url}))
            for run in client.runs.list():
                if run.state in UNFINISHED_RUNS:
                    client.runs.cancel(run.id).wait(timeout_seconds=_END_TIMEOUT_SECONDS)
    for seed in range(runs):
        work = FOLDER / f"cold-{seed}"
        cold.append(seconds_to_first_step(_pictures(seed), work / "noisy-student-data", {API_VARIABLE: ""}, work))
    save(rows(warm, cold, COMMAND if runs == _USUAL_RUNS else f"{COMMAND} RUNS={runs}"))


def rows(warm: list[float], cold: list[float], command: str = COMMAND) -> list[ResultRow]:
    """The rows of the command with a running service, and of one that has to start it."""
    name = "client.one_line_run_seconds_to_first_step"
    unit = "s from enter to the first training step"
    return [
        row(name, warm, f"{unit}, service running", "the cold start, beside it", command),
        row(f"{name}_cold", cold, f"{unit}, nothing running", "the running service, beside it", command),
    ]


def seconds_to_first_step(
    folders: Mapping[str, Path], home: Path, environment: Mapping[str, str], work: Path = FOLDER
) -> float:
    """Runs the command and returns the seconds until its teacher has made a step. Then it interrupts the command.

    `home` is the folder of the service's data. The stages' own reports, which are written every second, tell the step.
    """
    work.mkdir(parents=True, exist_ok=True)
    there = set(_reports(home))
    command = [sys.executable, "-m", "noisy_student.cli.main", "run", "--yes", "--follow", "--generations", "1"]
    options = [word for name, folder in folders.items() for word in (f"--{name}", str(folder.resolve()))]
    with (work / "run.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, *options],
            cwd=work,
            env={**os.environ, **environment, "PYTHONPATH": os.getcwd()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        with _interrupted(process):
            while time.perf_counter() - began < _START_TIMEOUT_SECONDS:
                if any(_has_made_a_step(report) for report in set(_reports(home)) - there):
                    return time.perf_counter() - began
                if process.poll() is not None:
                    break
                time.sleep(_LOOK_SECONDS)
    raise SystemExit(f"no training step was made:\n{(work / 'run.log').read_text()}")


@contextmanager
def _interrupted(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_END_TIMEOUT_SECONDS)


def _reports(home: Path) -> Iterator[Path]:
    return home.glob("artifacts/runs/*/gen-0/train/progress.json")


def _has_made_a_step(report: Path) -> bool:
    try:
        return Progress.model_validate_json(report.read_bytes()).done > 0
    except (OSError, ValidationError):
        return False


def _pictures(seed: int) -> dict[str, Path]:
    parts = fashion(seed) if FASHION_FOLDER.exists() else digits(seed)
    folders = {name: FOLDER / f"pictures-{seed}" / name for name in ("labeled", "unlabeled")}
    if not folders["labeled"].exists():
        _write(folders["labeled"], parts["labeled"], with_classes=True)
        _write(folders["unlabeled"], parts["unlabeled"], with_classes=False)
    return folders


def _write(folder: Path, part: Part, with_classes: bool) -> None:
    pictures = list(zip(part.pixels, part.labels.tolist(), strict=True))[:_UNLABELED]
    for number, (pixels, label) in enumerate(pictures):
        place = folder / str(label) if with_classes else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:05d}.png")


if __name__ == "__main__":
    main()
