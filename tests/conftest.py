"""Fixtures that all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import text

from benchmarks.support.postgres_server import PostgresMissing, PostgresServer
from service.config.inspector_limits import InspectorLimits
from service.datasets.registration.inspector_pool import InspectorPool
from service.store.database import Database
from service.store.migrate import upgrade

pytest_plugins = (
    "tests.limits",
    "tests.own_process",
    "tests.session_folder",
    "tests.spreading",
    "tests.support.application",
)

# A busy machine makes examples slow, so their duration says nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


class SharedInspectors(InspectorPool):
    """The inspectors that all tests share, because starting a process takes half a second."""

    def close(self) -> None:
        """Does nothing, because the next test uses the pool too."""


@pytest.fixture(scope="session")
def inspectors() -> Iterator[InspectorPool]:
    pool = SharedInspectors(InspectorLimits(seconds=60, memory_bytes=1 << 30), kept=2)
    yield pool
    InspectorPool.close(pool)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL, up to the database's name, of a temporary PostgreSQL server with the database `migrated`."""
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        pytest.skip(f"{missing}: PostgreSQL's half of the tests is left out")
    with server:
        admin = Database(server.url("postgres"))
        with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Plans depend on statistics, and autovacuum would collect those of empty tables at a moment of its own.
            connection.execute(text("alter system set autovacuum = off"))
            connection.execute(text("select pg_reload_conf()"))
            connection.execute(text("create database migrated"))
        admin.close()
        upgrade(server.url("migrated"))
        yield server.url("{name}")
