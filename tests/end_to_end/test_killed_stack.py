"""However `noisy-student up` ends, it leaves none of its processes and no Ray folder behind."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from noisy_student.local.owned_folder import MARK
from noisy_student.local.process_family import command_of, descendants, is_alive
from noisy_student.local.ray_head import free_ports
from tests.at_once import wait_until


class Up:
    """Runs the command with a separate temporary folder."""

    def __init__(self, folder: Path) -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/healthz"
        # Not within the test's own folder, because the paths of Ray's sockets may have at most 107 bytes.
        self.temporary = Path(tempfile.gettempdir()) / f"u{secrets.token_hex(1)}"
        self.temporary.mkdir()
        command = [
            sys.executable,
            "-m",
            "noisy_student.cli.main",
            "up",
            "--home",
            str(folder / "home"),
            "--port",
            str(port),
        ]
        self.process = subprocess.Popen(
            [*command, "--num-cpus", "1"], env={**os.environ, "TMPDIR": str(self.temporary)}, start_new_session=True
        )

    @property
    def parts(self) -> list[psutil.Process]:
        """All processes that the command has started, except its watcher."""
        return [part for part in descendants(self.process.pid) if "owned_folder" not in command_of(part)]

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)
        wait_until(lambda: not list(self.temporary.glob("ray-*")), "the watcher")
        shutil.rmtree(self.temporary)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path)
    yield started
    started.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def words_of(process: psutil.Process) -> list[str]:
    """The words of the process's command line, without folders."""
    return [word.rpartition("/")[2] for word in command_of(process).split()]


def marks_in(processes: list[psutil.Process]) -> set[str | None]:
    found = set()
    for process in processes:
        try:
            found.add(process.environ().get(MARK))
        except psutil.Error:
            continue
    return found - {None}


def test_killed_with_all_of_it_running(up: Up) -> None:
    wait_until(lambda: answers(up.url), "the API", 120)
    whole = {"raylet", "api", "service.reconcile"}
    wait_until(lambda: whole <= {word for part in up.parts for word in words_of(part)}, "all of its parts", 120)
    parts = up.parts
    [mark] = marks_in(parts)

    up.process.kill()
    killed_at = time.monotonic()

    wait_until(lambda: not any(map(is_alive, parts)), "its processes to end", 30)
    wait_until(lambda: not list(up.temporary.glob("ray-*")), "Ray's folder to go", 30)
    assert list(up.temporary.iterdir()) == []
    assert mark not in marks_in(list(psutil.process_iter()))
    assert time.monotonic() - killed_at < 30


def test_interrupted_while_it_starts(up: Up) -> None:
    wait_until(lambda: any("gcs_server" in command_of(part) for part in up.parts), "Ray's first process", 120)
    parts = up.parts

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(timeout=60) == 0
    assert not any(map(is_alive, parts))
    assert list(up.temporary.iterdir()) == []
