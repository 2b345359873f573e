"""The project's API and reconciler as processes, with the settings that the chart gives their pods."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import httpx
from cryptography.fernet import Fernet

from noisy_student.client import Client
from noisy_student.local.process_family import stop_tree
from noisy_student.local.stack_key import StackKey
from service.private_files import write_private_file
from tests.rehearsal.containers import DASHBOARD_URL
from tests.rehearsal.release import Release

API_URL = "http://127.0.0.1:8000"
API_METRICS = "127.0.0.1:9464"
RECONCILER_METRICS = "127.0.0.1:9465"
"""On a cluster both have the same port, each at its own address."""
_START_TIMEOUT_SECONDS = 300.0


class ControlPlane:
    """A context manager that runs one API and one reconciler. `client` holds an admin's key."""

    def __init__(self, release: Release, folder: Path, token: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = {"api": release.api_settings, "service.reconcile": release.reconciler_settings}
        self._here = {
            **environment,
            "NOISY_STUDENT_HOME": str(folder),
            "NOISY_STUDENT_DATABASE_URL": f"sqlite:///{folder}/noisy-student.db",
            "NOISY_STUDENT_SECRET_KEYS_FILE": str(folder / "secret.keys"),
            "NOISY_STUDENT_RAY__JOBS_URL": DASHBOARD_URL,
            "NOISY_STUDENT_RAY__AUTH_TOKEN": token,
            "NOISY_STUDENT_RAY__PYTHON_EXECUTABLE": sys.executable,
            "NOISY_STUDENT_METRICS__RECONCILER_PORT": RECONCILER_METRICS.rpartition(":")[2],
        }
        self._key = StackKey(API_URL)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "ControlPlane":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()
        self._stop()

    def log_of(self, part: str) -> str:
        """What `api` or `service.reconcile` has written."""
        return (self._folder / f"{part}.log").read_text(errors="replace")

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_private_file(self._folder / "secret.keys", Fernet.generate_key().decode())
        self._key.make(self._here["NOISY_STUDENT_DATABASE_URL"])
        for part, settings in self._settings.items():
            with (self._folder / f"{part}.log").open("ab") as log:
                self._processes[part] = subprocess.Popen(
                    [sys.executable, "-m", part],
                    env={**os.environ, **settings, **self._here},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.client = Client(API_URL, self._key.text)
        self._wait_for_api()

    def _wait_for_api(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self._processes["api"].poll() is None:
            try:
                if httpx.get(f"{API_URL}/healthz", timeout=5, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"the API does not answer:\n{self.log_of('api')[-2000:]}")

    def _stop(self) -> None:
        for process in reversed(self._processes.values()):
            stop_tree(process)
        self._processes.clear()
