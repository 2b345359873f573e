"""What a killed parent leaves behind is found by its mark, and nothing else is touched."""

import subprocess
import sys
import time

import psutil

from api.cli.process_family import kill_marked

MARK = "NOISY_STUDENT_TEST_MARK"
PARENT = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"


def start_parent(mark: str) -> tuple["subprocess.Popen[str]", psutil.Process]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env={MARK: mark}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, psutil.Process(int(parent.stdout.readline()))


def is_gone(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 5
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_orphans_with_the_mark_are_killed_and_others_are_not() -> None:
    mine, orphan = start_parent("mine")
    other, child_of_other = start_parent("other")
    mine.kill()
    mine.wait()
    assert orphan.is_running()

    kill_marked(MARK, "mine")

    assert is_gone(orphan)
    assert child_of_other.is_running()
    kill_marked(MARK, "other")
    assert is_gone(child_of_other)
    other.wait(timeout=5)
