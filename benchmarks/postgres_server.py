"""A throw-away PostgreSQL server on a socket of its own: for tests and benchmarks, and to be killed by some of them."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from api.cli.process_family import descendants, kill_all, processes_of

_BINARIES = Path("/usr/lib/postgresql")
_COMMAND_TIMEOUT_SECONDS = 120.0
_UNPRIVILEGED_USERS = ("postgres", "nobody")


class PostgresMissing(Exception):
    """PostgreSQL cannot be run here, and why."""


class PostgresServer:
    """Started on entry, gone with its data on exit. Nothing of it listens on the network.

    `durable` keeps what was committed when the server is killed; without it, tests are quicker.
    """

    def __init__(self, durable: bool = False) -> None:
        found = sorted(_BINARIES.glob("*/bin/initdb"))
        if not found:
            raise PostgresMissing(f"PostgreSQL's binaries are not in {_BINARIES}")
        self._bin = found[-1].parent
        # Below the common temporary folder, which any user may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="noisy-student-postgres-"))
        self._as_user = _unprivileged(self.folder)
        quick = "" if durable else "-c fsync=off -c synchronous_commit=off -c full_page_writes=off "
        self._options = f"{quick}-c max_connections=50 -c listen_addresses= -c unix_socket_directories={self.folder}"

    def __enter__(self) -> "PostgresServer":
        try:
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "tester", "--no-sync")
            self.start()
            self._psql("create database noisy_student")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def url(self, database: str = "noisy_student") -> str:
        """The URL of one of its databases."""
        return f"postgresql://tester@/{database}?host={self.folder}"

    def start(self) -> None:
        """Starts it, after a kill too, and returns when it takes connections."""
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-o", self._options, "-w", "start")

    def kill(self) -> None:
        """Kill -9, of the postmaster and of all that it has started, as when its machine dies."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        kill_all([*processes_of([postmaster]), *descendants(postmaster)])

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _psql(self, statement: str) -> None:
        self._run("psql", "-h", str(self.folder), "-U", "tester", "-d", "postgres", "-c", statement)

    def _remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._bin / program), *arguments]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            timeout=_COMMAND_TIMEOUT_SECONDS,
        )
        if done.returncode:
            raise PostgresMissing(f"{program}: {done.stdout}")


def _unprivileged(folder: Path) -> list[str]:
    """The command that runs another as the folder's owner: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return []
    for user in _UNPRIVILEGED_USERS:
        if subprocess.run(["id", user], capture_output=True, check=False, timeout=60).returncode == 0:
            shutil.chown(folder, user)
            folder.chmod(0o755)
            return ["runuser", "-u", user, "--"]
    raise PostgresMissing(f"it does not run as root, and there is none of the users {', '.join(_UNPRIVILEGED_USERS)}")
