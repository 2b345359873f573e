"""A temporary folder and the processes that work in it. Both end with the process that owns them, however that ends.

A note in the folder names the owner. A watcher process checks whether the owner is alive. If the owner was killed, the
watcher ends the processes that carry the folder's mark and removes the folder. If the watcher was killed too, the next
owner on the machine cleans up before it starts.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from noisy_student.local.process_family import is_alive, kill_marked, kill_writing_into, processes_of
from service.private_files import make_new_private_folder, write_private_file

MARK = "NOISY_STUDENT_PART_OF"
"""The environment variable that all processes of a folder inherit. Its value is the folder's mark."""
NOTE = ".owner.json"
_LOOK_EVERY_SECONDS = 0.5
_SAME_START_SECONDS = 2.0
"""A tolerance: the start time that the system reports for a process shifts a little when the clock is set."""
_KILL_TIMEOUT_SECONDS = 30.0
_TRIES = 50
"""How often to try to remove a folder while dying processes may still write to it."""


class Owner(BaseModel):
    """The process that owns a folder."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    pid: int
    started_at: float
    """Seconds since 1970."""
    where: str
    """The machine and container; a process id has a meaning only there."""
    mark: str

    def is_dead(self) -> bool:
        """Whether the owner was a process on this machine and no longer exists."""
        if self.where != _here():
            return False
        return not any(is_alive(process) and self._is(process) for process in processes_of([self.pid]))

    def _is(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            return abs(process.create_time() - self.started_at) < _SAME_START_SECONDS
        return False


class OwnedFolder:
    """A new folder within the system's temporary folder. `environment` marks the processes that must end with it."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.gettempdir()) / f"{prefix}{secrets.token_hex(4)}"
        self.environment = {MARK: uuid.uuid4().hex}
        self._watcher: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Creates the folder, private and owned by this process. Raises OSError if the name is taken."""
        end_forsaken()
        make_new_private_folder(self.path)
        started_at = psutil.Process().create_time()
        owner = Owner(pid=os.getpid(), started_at=started_at, where=_here(), mark=self.environment[MARK])
        write_private_file(self.path / NOTE, owner.model_dump_json())
        self._watcher = subprocess.Popen(
            [sys.executable, "-m", "noisy_student.local.owned_folder", str(self.path)],
            # The watcher must not carry a mark, or it would end together with that folder.
            env={name: value for name, value in os.environ.items() if name != MARK},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end_processes(self) -> None:
        """Kills all processes that carry the mark, their descendants, and those that write output to the folder."""
        _end_processes(self.path, self.environment[MARK])

    def close(self) -> None:
        """Ends the processes, and removes the folder if it exists."""
        self.abandon()
        _remove(self.path)

    def abandon(self) -> None:
        """Ends the processes and the watcher, and leaves the folder for a later owner to remove."""
        self.end_processes()
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait(timeout=_KILL_TIMEOUT_SECONDS)


def end_forsaken(below: Path | None = None) -> None:
    """Ends the processes and removes the folders of dead owners only."""
    for note in (below or Path(tempfile.gettempdir())).glob(f"*/{NOTE}"):
        owner = _owner(note)
        if owner is not None and owner.is_dead():
            _end(note.parent, owner)


def watch(folder: Path) -> None:
    """Returns when the folder is gone, or when the owner is dead and its processes and folder have been removed."""
    owner = _owner(folder / NOTE)
    while owner is not None and folder.exists():
        if owner.is_dead():
            _end(folder, owner)
            return
        time.sleep(_LOOK_EVERY_SECONDS)


def _end(folder: Path, owner: Owner) -> None:
    _end_processes(folder, owner.mark)
    end_forsaken(folder)  # the folder of a test session contains those of its stacks
    _remove(folder)


def _end_processes(folder: Path, mark: str) -> None:
    kill_marked(MARK, mark)
    kill_writing_into(folder)


def _owner(note: Path) -> Owner | None:
    """The owner that the note names; None if the note is gone, invalid, or another user's."""
    with suppress(OSError, ValidationError):
        if note.lstat().st_uid == note.parent.lstat().st_uid == os.getuid():
            return Owner.model_validate_json(note.read_bytes())
    return None


def _remove(folder: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _here() -> str:
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
