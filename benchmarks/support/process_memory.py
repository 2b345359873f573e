"""Measures the memory of a process and all its descendants while it runs."""

import subprocess
import time

import psutil

from noisy_student.local.process_family import descendants, processes_of

_POLL_SECONDS = 0.5


def peak_mib_while(process: subprocess.Popen[bytes]) -> float:
    """Waits for the process, and returns the peak of its tree's proportional set size, in MiB.

    Raises CalledProcessError if the process fails.
    """
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_pss_bytes(process.pid))
        time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return peak / 2**20


def tree_pss_bytes(pid: int) -> int:
    """The proportional set size of a process and its descendants, in bytes; 0 if it has ended."""
    return sum(_pss(process) for process in [*processes_of([pid]), *descendants(pid)])


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError):
        return 0
