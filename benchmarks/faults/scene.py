"""The stack under test: Ray, the API, two reconcilers, PostgreSQL, and artifacts on their own small file system."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from sqlalchemy import select

from benchmarks.faults.ray_proxy import RayProxy
from benchmarks.support.postgres_server import PostgresServer
from benchmarks.support.started_parts import StartedParts
from noisy_student.client import Client
from noisy_student.errors import ApiError
from noisy_student.local.stack import LocalStack
from service.store.database import Database
from service.store.schema.reconciler_tables import LeaseRow
from service.views.runs import EventView, RunView

LEASE_SECONDS = 4.0
ARTIFACT_MIB = 1024
"""A round leaves about twenty. Only the fault that fills the disk may fill it."""
_MAX_ATTEMPTS = 12
"""More than the default, because several faults may hit one stage."""
_SUPERVISE_EVERY_SECONDS = 0.5
_ANSWER_TIMEOUT_SECONDS = 90.0


class Scene(StartedParts):
    """Runs the stack as a context manager. `mounted`: the artifacts have their own file system, which needs root."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder.resolve()
        self.artifacts = self.folder / "artifacts"
        self.postgres = PostgresServer(durable=True)
        self.mounted = False
        self.run_id = ""
        """The id of the run under test."""
        self._stopping = threading.Event()
        self._second: subprocess.Popen[bytes] | None = None

    def get_run(self, run_id: str) -> RunView:
        """Returns the run, however long the API takes to respond."""
        deadline = time.monotonic() + _ANSWER_TIMEOUT_SECONDS
        while True:
            try:
                return self.client.runs.get(run_id)
            except ApiError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def events(self, run_id: str) -> list[EventView]:
        """The run's history, oldest first."""
        return list(self.client.runs.events(run_id, limit=1000))[::-1]

    def leader(self) -> int | None:
        """The process id of the reconciler that holds the lease, if it is alive."""
        with self._database.read() as session:
            holder = session.execute(select(LeaseRow.holder)).scalar_one()
        pid = int(holder.rpartition(" ")[2]) if holder else 0
        return pid if pid and psutil.pid_exists(pid) else None

    def wait_for_api(self) -> None:
        """Returns when the API responds again, once the supervisor has restarted it."""
        deadline = time.monotonic() + _ANSWER_TIMEOUT_SECONDS
        while True:
            try:
                httpx.get(f"{self.stack.api_url}/healthz", timeout=5, trust_env=False)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open.enter_context(self.postgres)
        self.mounted = self._open.enter_context(_small_file_system(self.artifacts))
        # The proxy's address is a setting of the stack, and Ray's address is known only once the stack exists.
        self.stack = LocalStack(self.folder / "home", announce=lambda _: None)
        self.proxy = self._open.enter_context(RayProxy(self.stack.dashboard_url))
        self.stack.settings.update(self._settings())
        self._open.enter_context(self.stack)
        self.client = self._open.enter_context(Client(self.stack.api_url))
        self._database = Database(self.postgres.url())
        self._open.callback(self._database.close)
        self._open.callback(self._stop_second)
        supervisor = threading.Thread(target=self._supervise, daemon=True)
        supervisor.start()
        self._open.callback(supervisor.join)
        self._open.callback(self._stopping.set)

    def _settings(self) -> dict[str, str]:
        return {
            "NOISY_STUDENT_DATABASE_URL": self.postgres.url(),
            "NOISY_STUDENT_ARTIFACT_ROOT": str(self.artifacts),
            "NOISY_STUDENT_RAY__JOBS_URL": self.proxy.url,
            "NOISY_STUDENT_RAY__DASHBOARD_URL": self.stack.dashboard_url,
            "NOISY_STUDENT_RECONCILER__LEASE_SECONDS": str(LEASE_SECONDS),
            "NOISY_STUDENT_RECONCILER__MAX_ATTEMPTS": str(_MAX_ATTEMPTS),
        }

    def _supervise(self) -> None:
        """Supervises each second, like `noisy-student up`, and also restarts the second reconciler."""
        while not self._stopping.wait(_SUPERVISE_EVERY_SECONDS):
            self.stack.supervise()
            if self._second is None or self._second.poll() is not None:
                environment = {**os.environ, **self.stack.service_environment()}
                with (self.folder / "second-reconciler.log").open("ab") as log:
                    self._second = subprocess.Popen(
                        [sys.executable, "-m", "service.reconcile"], env=environment, stderr=log, stdout=log
                    )

    def _stop_second(self) -> None:
        if self._second is not None:
            self._second.kill()
            self._second.wait()


@contextmanager
def _small_file_system(folder: Path) -> Iterator[bool]:
    """Mounts a file system in memory if permitted, and yields whether it was."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = mount("-t", "tmpfs", "-o", f"size={ARTIFACT_MIB}m", "tmpfs", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def mount(*arguments: str) -> bool:
    """Runs the command `mount`, and returns whether it succeeded."""
    return subprocess.run(["mount", *arguments], check=False, stderr=subprocess.DEVNULL).returncode == 0
