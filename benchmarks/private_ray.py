"""A Ray head of our own whose parts can be killed; nothing of another Ray on the machine is touched."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

import psutil

from api.cli.local_stack import free_ports

_START_TIMEOUT_SECONDS = 60.0
_OBJECT_STORE_BYTES = 100 << 20


class PrivateRay:
    """A context manager: starts a head of `num_cpus` on free ports, and ends all that it started.

    `kill()` is what a lost head node does to a cluster: raylet and GCS are gone at once, while drivers and actors find
    out by themselves. `start()` then brings up another one, which knows nothing of the first.
    """

    def __init__(self, num_cpus: int) -> None:
        self._num_cpus = num_cpus
        # Not below the home of the test: Ray's sockets have paths of at most 107 bytes.
        self._temporary = Path(mkdtemp(prefix="ray-"))
        self._head: subprocess.Popen[bytes] | None = None
        self._orphans: list[psutil.Process] = []
        self.address = ""

    def __enter__(self) -> "PrivateRay":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts a head and waits for its raylet. Raises TimeoutError."""
        port, *others = free_ports(7)
        names = ("node-manager", "object-manager", "dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export")
        options = [f"--{name}-port={number}" for name, number in zip(names, others, strict=False)]
        folder = self._temporary / str(port)
        self.address = f"127.0.0.1:{port}"
        with (self._temporary / "head.log").open("ab") as log:
            self._head = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"),
                    *("--node-ip-address=127.0.0.1", f"--num-cpus={self._num_cpus}", f"--temp-dir={folder}", *options),
                    *(f"--object-store-memory={_OBJECT_STORE_BYTES}", "--include-dashboard=false"),
                    *("--include-log-monitor=false", "--disable-usage-stats"),
                ],
                env={**os.environ, "RAY_AUTH_MODE": "disabled"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while "Ray runtime started" not in (self._temporary / "head.log").read_text(errors="replace"):
            if self._head.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"the Ray head did not start: {(self._temporary / 'head.log').read_text()[-2000:]}")
            time.sleep(0.1)
        (self._temporary / "head.log").write_text("")

    def kill(self) -> None:
        """SIGKILL to the head's own processes, not to drivers and actors."""
        assert self._head is not None
        family = psutil.Process(self._head.pid).children(recursive=True)
        self._orphans += family
        for process in [process for process in family if not _is_worker(process)]:
            _kill(process)
        self._head.kill()
        self._head.wait(timeout=10)
        self._head = None

    def actors(self) -> list[psutil.Process]:
        """The processes of Ray Data's actors, each with its model."""
        assert self._head is not None
        family = psutil.Process(self._head.pid).children(recursive=True)
        return [process for process in family if _command(process).startswith("ray::MapWorker")]

    def stop(self) -> None:
        """Ends every process that descends from a head that was started here."""
        if self._head is not None:
            self.kill()
        for process in self._orphans:
            _kill(process)
        psutil.wait_procs(self._orphans, timeout=10)
        shutil.rmtree(self._temporary, ignore_errors=True)


def _is_worker(process: psutil.Process) -> bool:
    return _command(process).startswith("ray::")


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        # psutil refuses to signal another process that has been given the same number since.
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return
