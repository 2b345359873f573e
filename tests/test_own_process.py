"""A module marked `own_process` reports as others do and leaves nothing in its parent's process, in real sessions."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ALONE = """
import os, threading, pytest
pytestmark = pytest.mark.own_process

@pytest.fixture(scope="module")
def process(request):
    with open(os.environ["TOLD"], "a") as file:
        print("begins", os.getpid(), file=file)
    yield os.getpid()
    with open(os.environ["TOLD"], "a") as file:
        print("ends", os.getpid(), file=file)

def test_leaves_a_thread(process):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    os.environ["LEFT"] = "behind"

def test_meets_it(process):
    assert process == os.getpid() and os.environ["LEFT"] == "behind"
"""
SHARED = """
import os, threading

def test_finds_nothing():
    assert "LEFT" not in os.environ
"""


def session(folder: Path, modules: dict[str, str], *options: str) -> str:
    """The output of a session with the modules, in the order of their names."""
    for name, text in modules.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 60\nmarkers = own_process\naddopts = -p no:schemathesis\n")
    (folder / "conftest.py").write_text("pytest_plugins = ('tests.limits', 'tests.own_process')\n")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:randomly", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "TOLD": str(folder / "told"), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def told(folder: Path) -> list[str]:
    return (folder / "told").read_text().splitlines()


@pytest.mark.parametrize("processes", [[], ["-n", "1"]])
def test_what_a_module_does_to_its_process_ends_with_it(tmp_path: Path, processes: list[str]) -> None:
    said = session(tmp_path, {"test_a.py": ALONE, "test_b.py": SHARED}, *processes)

    assert "3 passed" in said, said
    begins, ends = told(tmp_path)
    assert begins.removeprefix("begins ") == ends.removeprefix("ends ")


def test_modules_beside_it_and_elsewhere_are_set_up_as_without_it(tmp_path: Path) -> None:
    modules = {"one/test_a.py": SHARED, "one/test_b.py": ALONE, "two/test_c.py": SHARED, "two/test_d.py": SHARED}
    said = session(tmp_path, {name: text + f"# {name}" for name, text in modules.items()})

    assert "5 passed" in said, said


def test_a_failure_a_skip_and_an_error_are_reported_with_their_text(tmp_path: Path) -> None:
    outcomes = """
def test_fails(process):
    assert process == "no number"

def test_is_skipped():
    pytest.skip("for a reason")

@pytest.fixture
def broken():
    raise OSError("no such thing")

def test_errs(broken): pass

@pytest.mark.parametrize("value", ["a b", "c::d"])
def test_each(value): pass
"""
    said = session(tmp_path, {"test_a.py": ALONE + outcomes}, "-rs")

    assert re.search("1 failed, 4 passed, 1 skipped, 1 error", said), said
    assert all(text in said for text in ("no number", "for a reason", "no such thing"))


def test_a_process_that_dies_fails_the_rest_of_its_module_and_nothing_else(tmp_path: Path) -> None:
    dies = "\ndef test_dies():\n    os.write(1, b'the last words')\n    os._exit(7)\n\ndef test_never_runs(): pass\n"
    said = session(tmp_path, {"test_a.py": ALONE + dies, "test_b.py": SHARED}, "-s")

    assert "2 failed, 3 passed" in said, said
    assert "ended with status 7" in said


def test_a_session_that_stops_at_the_first_failure_ends_the_child_and_its_fixtures(tmp_path: Path) -> None:
    stops = "\ndef test_fails(process):\n    assert False\n\ndef test_waits(process):\n    threading.Event().wait()\n"
    said = session(tmp_path, {"test_a.py": ALONE + stops}, "-x")

    assert "stopping after 1 failures" in said, said
    assert [line.split()[0] for line in told(tmp_path)] == ["begins", "ends"]
