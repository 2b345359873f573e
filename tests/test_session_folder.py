"""A killed test session leaves no process and no folder behind, and neither does a stack that it started."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from noisy_student.local.process_family import is_alive, processes_of
from tests.at_once import wait_until

REPOSITORY = Path(__file__).parents[1]
TEST = """
import json, os, subprocess, sys, tempfile, time

def test_it(tmp_path):
    # Of its own session, and deaf to polite words; with files outside of what pytest gives to tests.
    stubborn = subprocess.Popen(["sh", "-c", "trap '' TERM HUP INT; sleep 600 & wait"], start_new_session=True)
    outside = tempfile.mkdtemp()
    note = {"tmp_path": str(tmp_path), "outside": outside, "pids": [stubborn.pid, os.getpid()]}
    with open(os.environ["TOLD"] + ".new", "w") as file:
        json.dump(note, file)
    os.rename(os.environ["TOLD"] + ".new", os.environ["TOLD"])
    {then}
"""


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Starts a separate session with one test. Returns it and the file in which the test says what it has started."""
    options, then = request.param
    (tmp_path / "test_it.py").write_text(TEST.replace("{then}", then))
    own = tmp_path / "tmp"
    own.mkdir()
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.session_folder", "-p", "no:cacheprovider", *options),
        *(f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}", str(tmp_path / "test_it.py")),
    ]
    environment = {
        **os.environ,
        "TMPDIR": str(own),
        "TOLD": str(tmp_path / "told"),
        "PYTHONPATH": str(REPOSITORY),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # some take seconds to import
    }
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    yield process, tmp_path
    process.kill()
    process.communicate(timeout=30)


@pytest.mark.parametrize(
    "session", [([], "time.sleep(600)"), (["-p", "xdist.plugin", "-n", "1"], "time.sleep(600)")], indirect=True
)
def test_a_killed_session_leaves_nothing(session: tuple["subprocess.Popen[str]", Path]) -> None:
    process, folder = session
    wait_until(lambda: (folder / "told").exists(), "the test to begin")
    told = json.loads((folder / "told").read_text())
    left = [*processes_of(told["pids"]), *processes_of([process.pid])]
    assert all(map(is_alive, left))

    process.kill()

    wait_until(lambda: not any(map(is_alive, left)), "its processes to end", 30)
    wait_until(lambda: not list((folder / "tmp").iterdir()), "its folder to go", 30)
    assert not Path(told["tmp_path"]).exists()
    assert not Path(told["outside"]).exists()


@pytest.mark.parametrize("session", [([], "pass")], indirect=True)
def test_a_session_that_ends_well_leaves_nothing_either(session: tuple["subprocess.Popen[str]", Path]) -> None:
    process, folder = session
    process.communicate(timeout=60)
    assert process.returncode == 0
    told = json.loads((folder / "told").read_text())
    wait_until(lambda: not any(map(is_alive, processes_of(told["pids"]))), "its processes to end", 30)
    assert not list((folder / "tmp").iterdir())


@pytest.mark.parametrize("session", [([], "assert False")], indirect=True)
def test_the_files_of_a_session_that_failed_stay_until_the_next(session: tuple["subprocess.Popen[str]", Path]) -> None:
    process, folder = session
    said, _ = process.communicate(timeout=60)
    told = json.loads((folder / "told").read_text())
    assert process.returncode == 1
    wait_until(lambda: not any(map(is_alive, processes_of(told["pids"]))), "its processes to end", 30)
    assert Path(told["tmp_path"]).exists()
    [left] = (folder / "tmp").iterdir()
    assert str(left) in said

    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    code = "from noisy_student.local.owned_folder import end_forsaken; end_forsaken()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60, cwd=REPOSITORY)
    assert not left.exists()
