"""Ends a process with all its descendants: by its tree, or, if that is gone, by a mark that they inherit.

Processes come and go while this module examines and signals them. One that is gone is what the caller wants, so nothing
here raises for it, whatever the system reports (`psutil.NoSuchProcess`, or an `OSError` from /proc or `pidfd_open`).
"""

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_STOP_TIMEOUT_SECONDS = 15.0
_KILL_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_ROUNDS = 5
"""A dying process may have started another, so it takes a few rounds to find them all."""
_GONE = (psutil.Error, OSError)


def stop_tree(child: "subprocess.Popen[bytes]") -> None:
    """Ends a child process and its descendants: first with SIGTERM to the child, then by killing what is left."""
    family = [*processes_of([child.pid]), *descendants(child.pid)]
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    kill_all(wait_for_ends(family, _STOP_TIMEOUT_SECONDS))
    with suppress(subprocess.TimeoutExpired):  # blocked in the kernel; it ends as soon as the call returns
        child.wait(timeout=_KILL_TIMEOUT_SECONDS)


def processes_of(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes with these ids, as far as they exist."""
    found = []
    for pid in pids:
        with suppress(*_GONE):
            found.append(psutil.Process(pid))
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """All current descendants of a process, parents before their children."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter():
        with suppress(*_GONE):
            children[process.ppid()].append(process)
    found = children.pop(pid, [])
    for process in found:  # grows during the loop
        found += children.pop(process.pid, [])
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs: it is not gone, not a zombie, and not another process that got the same id.

    A zombie that has threads counts as running: it is about to end, but its parent cannot reap it yet.
    """
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except _GONE:
        return False


def command_of(process: psutil.Process) -> str:
    """The command line of the process; empty if it is gone."""
    try:
        return " ".join(process.cmdline())
    except _GONE:
        return ""


def has_living_child(pid: int, name: str) -> bool:
    """Whether the process has a direct child with that name that is alive."""
    for process in descendants(pid):
        with suppress(*_GONE):
            if process.ppid() == pid and process.name() == name and is_alive(process):
                return True
    return False


def kill_marked(variable: str, value: str) -> None:
    """Kills every process whose environment has `variable` set to `value`, and the descendants of each.

    These are what a killed parent leaves behind.
    """
    for _ in range(_ROUNDS):
        marked = [process for process in psutil.process_iter() if is_alive(process) and _has(process, variable, value)]
        if not marked:
            return
        # Some processes overwrite their environment, such as PostgreSQL's; they are found through their parent.
        kill_all([*marked, *(child for process in marked for child in descendants(process.pid))])


def kill_writing_into(folder: Path) -> None:
    """Kills every process whose output goes to a file in the folder.

    This finds Ray workers that outlive their node; their process title overwrites their environment.
    """
    kill_all([process for process in psutil.process_iter() if _writes_into(folder, process)])


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """Kills the processes and waits, for a limited time, until they have ended."""
    for process in processes:
        with suppress(*_GONE):
            process.kill()
    wait_for_ends(processes, _KILL_TIMEOUT_SECONDS)


def wait_for_ends(processes: Sequence[psutil.Process], timeout_seconds: float) -> list[psutil.Process]:
    """Waits until all processes have ended. Returns those that have not when the time is over.

    It polls them, because `psutil.wait_procs` raises if a process ends between two of its calls.
    """
    deadline = time.monotonic() + timeout_seconds
    while alive := [process for process in processes if is_alive(process)]:
        if time.monotonic() >= deadline:
            return alive
        time.sleep(_POLL_SECONDS)
    return []


def _writes_into(folder: Path, process: psutil.Process) -> bool:
    for stream in (1, 2):
        with suppress(OSError):  # another user's, or gone by now, or a system without /proc
            if Path(os.readlink(f"/proc/{process.pid}/fd/{stream}")).is_relative_to(folder):
                return True
    return False


def _has(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        return process.environ().get(variable) == value
    except _GONE:
        return False  # another user's, or gone by now
