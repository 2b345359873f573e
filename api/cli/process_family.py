"""Ends a process with all its descendants: by its tree, or where that is gone by a mark that they inherit."""

import signal
import subprocess
from collections.abc import Sequence

import psutil

_STOP_TIMEOUT_SECONDS = 15.0
_KILL_TIMEOUT_SECONDS = 5.0


def stop_tree(child: "subprocess.Popen[bytes]") -> None:
    """Ends a child and all that descend from it: asks first, then kills what is left."""
    try:
        family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=_STOP_TIMEOUT_SECONDS)
    _kill(alive)
    child.wait(timeout=_KILL_TIMEOUT_SECONDS)


def has_living_child(pid: int, name: str) -> bool:
    """Whether the process has a direct child of that name that is more than a zombie."""
    try:
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return False
    for child in children:
        try:
            if child.name() == name and child.status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def kill_marked(variable: str, value: str) -> None:
    """Kills every process whose environment has `variable` set to `value`: what a killed parent has left behind."""
    marked = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                marked.append(process)
        except psutil.Error:
            continue  # another user's, or gone by now
    _kill(marked)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=_KILL_TIMEOUT_SECONDS)
