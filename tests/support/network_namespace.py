"""A network of this thread's own, with nothing but loopback: what listens in it is reached by nobody outside."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_CLONE_NEWNET = 0x40000000
"""The flag of unshare(2) and setns(2) for a network namespace."""


@contextmanager
def network_of_its_own() -> Iterator[None]:
    """Moves the calling thread, and the threads and processes that it starts, into a new network namespace.

    Skips the test where none can be made: it takes Linux and root. Threads that libraries start meanwhile stay in it,
    so a test module that uses it runs in a process of its own.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise RuntimeError("mark the module own_process: this process's threads are shared with other tests")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a network namespace takes Linux and root")
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
            yield
        finally:
            if libc.setns(outside, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "the thread is left in the namespace")
    finally:
        os.close(outside)
