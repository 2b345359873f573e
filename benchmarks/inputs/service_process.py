"""Runs the API as a separate process with an empty home, so that the judge notices if an input kills it."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
import psutil

from benchmarks.support.process_memory import tree_pss_bytes
from noisy_student.local.ray_head import free_ports

START_SECONDS = 60.0
_ANSWER_SECONDS = 90.0


class ServiceProcess:
    """A context manager that runs `python -m api` without authentication, as on a laptop; no Ray, no reconciler."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False)
        self.deaths = 0

    def __enter__(self) -> "ServiceProcess":
        self.home.mkdir(parents=True, exist_ok=True)
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.client.close()

    def is_alive(self) -> bool:
        """Whether the last started process still runs."""
        return self._process is not None and self._process.poll() is None

    def start_again(self) -> None:
        """Restarts the API after it has died, so that the following inputs can be judged."""
        self.deaths += 1
        self.kill()
        self._start()

    def kill(self) -> None:
        """Kills the API and its children."""
        if self._process is None:
            return
        alive = self._process.poll() is None
        children = psutil.Process(self._process.pid).children(recursive=True) if alive else []
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait(START_SECONDS)

    def memory_mib(self) -> float:
        """The memory of the process and its children in MiB, with shared pages counted once."""
        return tree_pss_bytes(self._running.pid) / 2**20

    def log_end(self, size: int = 3000) -> str:
        """The last `size` bytes of the API's log."""
        return (self.home / "api.log").read_text(errors="replace")[-size:]

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _start(self) -> None:
        [port] = free_ports(1)
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("NOISY_STUDENT_", "AWS_"))
        }
        variables |= {
            "NOISY_STUDENT_HOME": str(self.home),
            "NOISY_STUDENT_SERVER__PORT": str(port),
            "NOISY_STUDENT_RAY__JOBS_URL": "http://127.0.0.1:9",
            "NOISY_STUDENT_ACCESS__REQUESTS_PER_SECOND": "100000",
            "NOISY_STUDENT_ACCESS__REQUEST_BURST": "100000",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        with (self.home / "api.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api"], env=variables, stdout=log, stderr=subprocess.STDOUT
            )
        self.client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.is_alive():
            try:
                if self.client.get("/healthz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"the API does not answer: {self.log_end()}")
