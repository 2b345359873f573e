"""The temporary PostgreSQL restarts after a kill, and disappears with its data whatever happens to its owner."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from benchmarks.support.postgres_server import PostgresMissing, PostgresServer
from noisy_student.local.process_family import command_of, is_alive
from service.store.database import Database
from tests.at_once import wait_until

OWN = """
import sys
from benchmarks.support.postgres_server import PostgresServer
with PostgresServer() as server:
    print(server.folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def needs_postgres() -> None:
    try:
        PostgresServer()
    except PostgresMissing as missing:
        pytest.skip(str(missing))


def servers_in(folder: Path) -> list[psutil.Process]:
    """The postmasters and their child processes, all of which work in the data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if is_alive(process) and (str(folder) in command_of(process) or process.cwd() == str(folder / "data")):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_killed_owner_leaves_no_server_and_no_folder() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    assert len(servers_in(folder)) > 1

    owner.kill()
    owner.wait(timeout=30)

    wait_until(lambda: not servers_in(folder) and not folder.parent.exists(), "the server to be gone", 30)


def test_a_server_that_was_killed_starts_again_and_keeps_what_was_committed() -> None:
    with PostgresServer(durable=True) as server:
        database = Database(server.url())
        with database.engine.begin() as connection:
            connection.execute(text("create table kept as select 7 as value"))
        server.kill()
        assert servers_in(server.folder) == []
        database.close()
        server.start()
        with database.engine.connect() as connection:
            assert connection.execute(text("select value from kept")).scalar_one() == 7
        database.close()


def test_a_server_that_is_gone_already_is_no_error_at_the_end() -> None:
    with PostgresServer() as server:
        folder = server.folder
        server.kill()
    assert not folder.exists()
