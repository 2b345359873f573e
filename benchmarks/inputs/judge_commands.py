"""Runs a command line of `noisy-student` against the service, and checks its output."""

import subprocess
import sys
from pathlib import Path

from benchmarks.inputs.expectations import CommandInput
from benchmarks.inputs.good_bodies import GoodBodies
from benchmarks.inputs.judge_datasets import hidden_characters, pattern_problems
from benchmarks.inputs.service_process import ServiceProcess

_MOST_SECONDS = 60.0
_START = "from noisy_student.cli.main import app; app()"


def judge_command(given: CommandInput, service: ServiceProcess, good: GoodBodies, folder: Path) -> list[str]:
    """What is wrong with the outcome of the command; empty if nothing is."""
    folder.mkdir(parents=True)
    stands_in = given.make(folder)
    run = good.run() if any("{run}" in word for word in given.words) else ""
    words = [word.replace("{run}", run) for word in given.words]
    done = subprocess.run(
        [sys.executable, "-c", _START, *words, "--api", str(service.client.base_url).rstrip("/")],
        cwd=stands_in,
        input=given.stdin,
        capture_output=True,
        timeout=_MOST_SECONDS,
    )
    text = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
    problems = pattern_problems(" ".join(text.split()), given.says, given.never)
    if done.returncode not in given.exit_codes:
        problems.append(f"ends with {done.returncode}, not {given.exit_codes}: {text[-300:]}")
    return problems + hidden_characters(text.replace("\n", " "))
