"""Process trees, and what a killed parent leaves behind, are ended, and nothing else. Ended processes are no error."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from noisy_student.local import process_family
from noisy_student.local.process_family import (
    command_of,
    descendants,
    has_living_child,
    is_alive,
    kill_all,
    kill_marked,
    processes_of,
    stop_tree,
    wait_for_ends,
)

MARK = "NOISY_STUDENT_TEST_MARK"
PARENT = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
BROOD = "trap '' TERM; sleep 0.01 & echo begun; while true; do sleep 0.01 & sleep 0.01; done"
"""A parent that ignores SIGTERM and whose children constantly come and go."""


def start_parent(mark: str) -> tuple["subprocess.Popen[str]", psutil.Process]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env={MARK: mark}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, psutil.Process(int(parent.stdout.readline()))


def test_orphans_with_the_mark_are_killed_and_others_are_not() -> None:
    mine, orphan = start_parent("mine")
    other, child_of_other = start_parent("other")
    mine.kill()
    mine.wait(timeout=10)
    assert orphan.is_running()

    kill_marked(MARK, "mine")

    assert not is_alive(orphan)
    assert is_alive(child_of_other)
    kill_marked(MARK, "other")
    assert not is_alive(child_of_other)
    other.wait(timeout=5)


def test_what_descends_from_a_marked_process_is_killed_too_whatever_its_environment_says() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60'], env={}).pid, flush=True); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env={MARK: "whole"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    [child] = processes_of([int(parent.stdout.readline())])

    kill_marked(MARK, "whole")

    assert not is_alive(child)
    parent.wait(timeout=5)


def test_a_tree_whose_members_come_and_go_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_family, "_STOP_TIMEOUT_SECONDS", 0.2)
    for _ in range(5):
        with subprocess.Popen(["sh", "-c", BROOD], stdout=subprocess.PIPE) as parent:
            try:
                assert parent.stdout is not None
                assert parent.stdout.readline() == b"begun\n"
                stop_tree(parent)
                assert parent.returncode == -9
            finally:
                parent.kill()


def test_what_has_gone_before_it_is_looked_at_signalled_or_waited_for_is_no_error() -> None:
    child = subprocess.Popen(["sleep", "60"])
    [process] = processes_of([child.pid])
    child.kill()
    child.wait(timeout=10)

    kill_all([process])
    assert wait_for_ends([process], 1) == []
    assert processes_of([child.pid]) == descendants(child.pid) == []
    assert command_of(process) == ""
    assert not is_alive(process)
    assert not has_living_child(child.pid, "sleep")
    stop_tree(child)
    assert child.returncode == -9


def test_a_child_that_ends_in_the_same_moment_is_no_error() -> None:
    for milliseconds in range(0, 20, 2):
        child = subprocess.Popen(["sh", "-c", f"sleep 0.0{milliseconds:02} & exit 0"])
        stop_tree(child)
        assert child.returncode is not None


def test_a_system_that_has_forgotten_the_process_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """This has happened: psutil's wait asks for a handle of a process that is gone by then, and gets an OSError."""

    def gone(*_: object) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "pidfd_open", gone, raising=False)
    monkeypatch.setattr(process_family, "_STOP_TIMEOUT_SECONDS", 0.2)
    child = subprocess.Popen(["sh", "-c", "sleep 60 & wait"])
    wait_until(lambda: bool(descendants(child.pid)))
    family = descendants(child.pid)

    stop_tree(child)

    assert not any(map(is_alive, family))


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "gone"), ProcessLookupError(3, "gone"), psutil.NoSuchProcess(1)]
)
@pytest.mark.parametrize("call", ["ppid", "status", "kill", "environ", "is_running", "cmdline"])
def test_whatever_psutil_calls_a_process_that_has_gone_it_is_no_error(
    monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    child = subprocess.Popen(["sleep", "60"], env={MARK: "seen"})
    gone = {child.pid}
    asked = getattr(psutil.Process, call)

    def ask(process: psutil.Process) -> object:
        if process.pid in gone:
            raise error
        return asked(process)

    with monkeypatch.context() as patch:
        patch.setattr(process_family, "_KILL_TIMEOUT_SECONDS", 0.02)
        patch.setattr(process_family, "_STOP_TIMEOUT_SECONDS", 0.02)
        patch.setattr(psutil.Process, call, ask)
        kill_marked(MARK, "seen")
        stop_tree(child)
        assert not has_living_child(os.getpid(), "not there")
    child.kill()
    child.wait(timeout=10)


def test_a_process_that_cannot_be_ended_in_time_is_no_reason_not_to_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_family, "_KILL_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(process_family, "_STOP_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; while true; do sleep 0.05; done"])
    wait_until(lambda: bool(descendants(child.pid)))  # its signal handler is set

    stop_tree(child)

    assert child.poll() is None
    child.kill()
    child.wait(timeout=10)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_once_a_process_of_many_threads_was_killed_its_parent_knows_how_it_ended() -> None:
    threads = (
        "import threading, time\nfor _ in range(50): threading.Thread(target=time.sleep, args=(60,)).start()\nprint()"
    )
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-u", "-c", threads], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()

        kill_all(processes_of([child.pid]))

        assert child.poll() == -signal.SIGKILL
        child.stdout.close()
