"""The commands that time the suite and run it next to busy loops, tried on a suite of one test."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.house import suite
from noisy_student.local.process_family import is_alive, processes_of
from tests.at_once import wait_until

LOADED = """
import os, sys
from benchmarks.house.suite import busy_loops
with busy_loops() as loops:
    print(*(loop.pid for loop in loops), flush=True)
    sys.stdin.read()
"""


def test_busy_loops_end_with_who_has_started_them_even_when_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", LOADED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    loops = processes_of(map(int, owner.stdout.readline().split()))
    assert len(loops) == 2
    assert {psutil.Process().nice()} == {loop.nice() for loop in loops}

    owner.kill()
    owner.wait(timeout=30)

    wait_until(lambda: not any(map(is_alive, loops)), "the loops to end")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the runs; those of even seeds are green."""
    seeds: list[int] = []

    def run(seed: int, tests: list[str]) -> int:
        seeds.append(seed)
        return seed % 2

    monkeypatch.setattr(suite, "run_suite", run)
    return seeds


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    saved: list[dict[str, object]] = []
    monkeypatch.setattr(suite, "save", saved.extend)
    monkeypatch.setattr(suite, "_LOOP_ROUNDS", 1000)
    monkeypatch.setattr("benchmarks.results._gpu", lambda: "no GPU")  # otherwise it would import torch
    return saved


def test_three_runs_under_load_are_counted_and_one_that_is_red_fails_the_command(
    runs: list[int], rows: list[dict[str, object]]
) -> None:
    assert suite.run_under_load(4, []) == 1
    assert runs == [4, 5, 6]
    assert [(each["name"], each["value"]) for each in rows] == [("suite.green_under_load", 2.0)]


def test_a_red_suite_or_a_part_of_it_leaves_no_time(runs: list[int], rows: list[dict[str, object]]) -> None:
    assert suite.take_time(1, []) == 1
    assert suite.take_time(2, ["tests/checks"]) == 0
    assert rows == []
    assert suite.take_time(2, []) == 0
    assert [each["name"] for each in rows] == ["suite.seconds"]
    assert "fixed loop" in str(rows[0]["rival"])


def test_a_part_of_the_suite_runs_in_the_order_of_its_seed(tmp_path: Path) -> None:
    names = [f"test_{letter}" for letter in "abcdefgh"]
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_part.py").write_text("\n".join(f"def {name}(): pass" for name in names))

    def order(seed: int) -> list[str]:
        options = ["-v", "-p", "pytest_randomly", "-p", "no:cacheprovider", f"--randomly-seed={seed}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "."],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # some take seconds to import
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert f"--randomly-seed={seed}" in done.stdout
        return [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "::" in line]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == names
