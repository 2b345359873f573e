"""Ends a process with all its descendants: by its tree, or where that is gone by a mark that they inherit.

Processes come and go while they are looked at and signalled. One that has gone is what was wanted: nothing here raises
for it, whatever the system calls it (`psutil.NoSuchProcess`, or an `OSError` of /proc or `pidfd_open`).
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
"""A process that is being killed may have started another: a few looks find the last of them."""
_GONE = (psutil.Error, OSError)


def stop_tree(child: "subprocess.Popen[bytes]") -> None:
    """Ends a child and all that descend from it: asks first, then kills what is left."""
    family = [*processes_of([child.pid]), *descendants(child.pid)]
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    kill_all(wait_for_ends(family, _STOP_TIMEOUT_SECONDS))
    with suppress(subprocess.TimeoutExpired):  # held up in the kernel: it ends as soon as that lets it
        child.wait(timeout=_KILL_TIMEOUT_SECONDS)


def processes_of(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes of these ids that there are."""
    found = []
    for pid in pids:
        with suppress(*_GONE):
            found.append(psutil.Process(pid))
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """Children, their children and so on, as they are at this moment; parents before their children."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter():
        with suppress(*_GONE):
            children[process.ppid()].append(process)
    found = children.pop(pid, [])
    for process in found:  # grows meanwhile
        found += children.pop(process.pid, [])
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: not gone, not a zombie, and not another that was given its number.

    A zombie with threads is about to end: its parent cannot be told of its end yet.
    """
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except _GONE:
        return False


def command_of(process: psutil.Process) -> str:
    """Its command line, empty where it has gone."""
    try:
        return " ".join(process.cmdline())
    except _GONE:
        return ""


def has_living_child(pid: int, name: str) -> bool:
    """Whether the process has a direct child of that name that is more than a zombie."""
    for process in descendants(pid):
        with suppress(*_GONE):
            if process.ppid() == pid and process.name() == name and is_alive(process):
                return True
    return False


def kill_marked(variable: str, value: str) -> None:
    """Kills every process whose environment has `variable` set to `value`, and all that descend from one.

    That is what a killed parent has left behind.
    """
    for _ in range(_ROUNDS):
        marked = [process for process in psutil.process_iter() if is_alive(process) and _has(process, variable, value)]
        if not marked:
            return
        # Some write over the place where their environment was, as PostgreSQL's do: they are found by their parent.
        kill_all([*marked, *(child for process in marked for child in descendants(process.pid))])


def kill_writing_into(folder: Path) -> None:
    """Kills every process whose output goes to a file in the folder.

    Ray's workers are such, where their node has gone before them: their title is written over their environment.
    """
    kill_all([process for process in psutil.process_iter() if _writes_into(folder, process)])


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """Kills them, and returns when they have ended, or soon after."""
    for process in processes:
        with suppress(*_GONE):
            process.kill()
    wait_for_ends(processes, _KILL_TIMEOUT_SECONDS)


def wait_for_ends(processes: Sequence[psutil.Process], timeout_seconds: float) -> list[psutil.Process]:
    """Waits until all have ended; those that have not when the time is over.

    By looking at them: `psutil.wait_procs` raises where a process ends between two of its own calls.
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
