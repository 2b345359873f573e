"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import text

from benchmarks.postgres_server import PostgresMissing, PostgresServer
from service.store.database import Database
from service.store.migrate import upgrade

# Machines are busy at times: how long an example takes says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL, up to the database's name, of a throw-away PostgreSQL server with the database `migrated`."""
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        pytest.skip(f"{missing}: PostgreSQL's half of the tests is left out")
    with server:
        admin = Database(server.url("postgres"))
        with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("create database migrated"))
        admin.close()
        upgrade(server.url("migrated"))
        yield server.url("{name}")
