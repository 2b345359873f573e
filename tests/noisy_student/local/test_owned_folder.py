"""The processes and the folder of a killed owner disappear within moments; those of others stay."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from noisy_student.local import owned_folder
from noisy_student.local.owned_folder import MARK, NOTE, OwnedFolder, Owner, end_forsaken
from noisy_student.local.process_family import is_alive, kill_all, processes_of
from tests.at_once import wait_until

OWN = """
import os, subprocess, sys
from noisy_student.local.owned_folder import OwnedFolder
owned = OwnedFolder("ns-owned-")
owned.make()
child = subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep 600 & wait"], env={**os.environ, **owned.environment},
                         start_new_session=True)
print(owned.path, child.pid, owned._watcher.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder for these tests only."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


class Owning:
    """A process that owns a folder, in which a child that ignores SIGTERM works."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        path, child, watcher = self.process.stdout.readline().split()
        self.folder = Path(path)
        [self.child], [self.watcher] = processes_of([int(child)]), processes_of([int(watcher)])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture
def owning() -> Iterator[Owning]:
    started = Owning()
    yield started
    started.kill()
    wait_until(lambda: not started.folder.exists() or not is_alive(started.watcher), "its watcher")
    end_forsaken()


def test_a_killed_owner_leaves_no_process_and_no_folder(owning: Owning) -> None:
    owning.kill()

    wait_until(lambda: not owning.folder.exists(), "the folder to be removed", 20)
    wait_until(lambda: not is_alive(owning.child), "the child to be ended", 20)
    wait_until(lambda: not is_alive(owning.watcher), "the watcher to end", 20)


def test_where_the_watcher_is_killed_too_the_next_owner_cleans_up(owning: Owning) -> None:
    owning.watcher.kill()
    owning.kill()
    assert is_alive(owning.child)
    assert owning.folder.exists()

    following = OwnedFolder("ns-next-")
    following.make()

    assert not owning.folder.exists()
    assert not is_alive(owning.child)
    following.close()


def test_what_a_living_process_owns_is_left_alone(owning: Owning) -> None:
    end_forsaken()

    assert owning.folder.exists()
    assert is_alive(owning.child)


def test_closing_ends_the_processes_the_watcher_and_the_folder() -> None:
    owned = OwnedFolder("ns-owned-")
    owned.make()
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, **owned.environment})

    owned.close()

    assert not owned.path.exists()
    assert child.wait(timeout=30) == -signal.SIGKILL
    assert owned._watcher is not None
    assert owned._watcher.returncode is not None


def test_a_folder_that_was_not_made_is_closed_without_an_error() -> None:
    OwnedFolder("ns-owned-").close()


def test_an_owner_is_not_taken_for_another_process_of_its_number_or_its_number_on_another_machine(
    temporary: Path,
) -> None:
    me = Owner(pid=os.getpid(), started_at=psutil.Process().create_time(), where=owned_folder._here(), mark="m")
    gone = subprocess.Popen(["true"])
    gone.wait(timeout=30)

    assert not me.is_dead()
    assert me.model_copy(update={"started_at": me.started_at - 60}).is_dead()
    assert me.model_copy(update={"pid": gone.pid}).is_dead()
    assert not me.model_copy(update={"pid": gone.pid, "where": "another machine"}).is_dead()


@pytest.mark.parametrize("note", ["", "{", '{"pid": 1}', None])
def test_a_folder_without_a_note_that_can_be_read_is_left_alone(temporary: Path, note: str | None) -> None:
    folder = temporary / "ns-other"
    folder.mkdir()
    if note is not None:
        (folder / NOTE).write_text(note)

    end_forsaken()

    assert folder.exists()


def test_the_folders_inside_of_a_dead_owners_folder_are_ended_first(owning: Owning, temporary: Path) -> None:
    """A test session's folder contains those of its stacks, whose watchers may have been killed with the session."""
    dead = subprocess.Popen(["true"])
    dead.wait(timeout=30)
    outer = temporary / "ns-session"
    outer.mkdir()
    note = Owner(pid=dead.pid, started_at=0.0, where=owned_folder._here(), mark="of nobody")
    (outer / NOTE).write_text(note.model_dump_json())
    owning.watcher.kill()
    owning.kill()
    inner = owning.folder.rename(outer / "inner")

    end_forsaken()

    assert not inner.exists()
    assert not outer.exists()
    assert not is_alive(owning.child)


def test_a_process_that_has_lost_the_mark_is_known_by_where_it_writes(owning: Owning, tmp_path: Path) -> None:
    """Like a Ray worker, whose process title overwrites its environment, and which outlives its parent."""
    command = ["sh", "-c", "trap '' TERM HUP; sleep 600 & wait"]
    with (owning.folder / "log").open("w") as log, (tmp_path / "log").open("w") as elsewhere:
        inside = subprocess.Popen(command, env={}, stdout=log, start_new_session=True)
        outside = subprocess.Popen(command, env={}, stdout=elsewhere, start_new_session=True)

    owning.kill()

    assert inside.wait(timeout=20) == -signal.SIGKILL
    assert outside.poll() is None
    kill_all(processes_of([outside.pid]))
    outside.wait(timeout=20)


def test_the_mark_is_not_handed_on_to_the_watcher(owning: Owning) -> None:
    assert MARK not in owning.watcher.environ()
    # While a process becomes another program, it briefly has no environment.
    wait_until(lambda: MARK in owning.child.environ(), "the mark of the child")
