"""A temporary PostgreSQL server on a socket of its own, for tests and benchmarks, some of which kill it."""

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from noisy_student.local.owned_folder import OwnedFolder
from noisy_student.local.process_family import descendants, kill_all, processes_of

_BINARIES = Path("/usr/lib/postgresql")
_COMMAND_TIMEOUT_SECONDS = 120.0
_UNPRIVILEGED_USERS = ("postgres", "nobody")


class PostgresMissing(Exception):
    """PostgreSQL cannot run here. The message says why."""


class PostgresServer:
    """A context manager that starts the server, and removes it with its data at exit or when its owner is killed.

    It does not listen on the network. With `durable`, committed data survives a kill; without it, tests are faster.
    """

    def __init__(self, durable: bool = False) -> None:
        found = sorted(_BINARIES.glob("*/bin/initdb"))
        if not found:
            raise PostgresMissing(f"PostgreSQL's binaries are not in {_BINARIES}")
        self._bin = found[-1].parent
        self._user = _unprivileged_user()
        self._owned = OwnedFolder("noisy-student-postgres-")
        self._quick = "" if durable else "-c fsync=off -c synchronous_commit=off -c full_page_writes=off "

    def __enter__(self) -> "PostgresServer":
        try:
            self._owned.make()
            self._make_folder()
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "tester", "--no-sync")
            self.start()
            self._psql("create database noisy_student")
        except BaseException:
            self._owned.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owned.close()

    @property
    def folder(self) -> Path:
        """The folder of the server's socket, data and log, while the context is active."""
        return self._owned.path / "server"

    def url(self, database: str = "noisy_student") -> str:
        """The URL of one of the server's databases."""
        return f"postgresql://tester@/{database}?host={self.folder}"

    def start(self) -> None:
        """Starts the server, also after a kill, and returns when it accepts connections."""
        options = f"{self._quick}-c max_connections=50 -c listen_addresses= -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def kill(self) -> None:
        """Kills the postmaster and all of its processes with SIGKILL, as if its machine had died."""
        locks = [self._data / "postmaster.pid", self.folder / ".s.PGSQL.5432.lock"]
        postmaster = int(locks[0].read_text().split()[0])
        kill_all([*processes_of([postmaster]), *descendants(postmaster)])
        # To the next server, a zombie, which nobody has reaped yet, still holds them.
        for lock in locks:
            lock.unlink(missing_ok=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make_folder(self) -> None:
        self.folder.mkdir()
        if self._user:
            self._owned.path.chmod(0o755)
            shutil.chown(self.folder, self._user)

    def _psql(self, statement: str) -> None:
        self._run("psql", "-h", str(self.folder), "-U", "tester", "-d", "postgres", "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", self._user, "--"] if self._user else []
        done = subprocess.run(
            [*as_user, str(self._bin / program), *arguments],
            env={**os.environ, **self._owned.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            timeout=_COMMAND_TIMEOUT_SECONDS,
        )
        if done.returncode:
            raise PostgresMissing(f"{program}: {done.stdout}")


def _unprivileged_user() -> str:
    """The user to run PostgreSQL as, because it refuses to run as root; empty if this process is not root."""
    if os.getuid() != 0:
        return ""
    for user in _UNPRIVILEGED_USERS:
        known = subprocess.run(["id", user], capture_output=True, check=False, timeout=_COMMAND_TIMEOUT_SECONDS)
        if known.returncode == 0:
            return user
    raise PostgresMissing(f"it does not run as root, and there is none of the users {', '.join(_UNPRIVILEGED_USERS)}")
