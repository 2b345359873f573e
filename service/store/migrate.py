"""Upgrades a database to the newest schema. It is safe to start several processes at once."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import make_url

from service.store.database import Database

MIGRATIONS_FOLDER = Path(__file__).parent / "schema" / "migrations"
ADVISORY_LOCK = 7_310_021_964
"""The number of the advisory lock. Any number would do, but all processes must use the same one."""
WAL_WAIT_SECONDS = 15.0


def upgrade(database_url: str) -> None:
    """Creates or upgrades the tables in one transaction. A second process waits and then has nothing to do."""
    _switch_sqlite_to_write_ahead_log(database_url)
    database = Database(database_url)
    try:
        with database.write_connection() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS_FOLDER).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.close()


def forget_what_was_overwritten(database: Database) -> None:
    """Removes overwritten and deleted data from SQLite's file and write-ahead log; does nothing for PostgreSQL.

    SQLite leaves such data in freed pages and in its log until it reuses them. This takes as long as copying the file.
    """
    if database.engine.dialect.name != "sqlite":
        return
    with closing(sqlite3.connect(str(database.engine.url.database), timeout=WAL_WAIT_SECONDS)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _switch_sqlite_to_write_ahead_log(database_url: str) -> None:
    """Sets the file's journal mode, which is permanent. SQLite does not wait for this lock, so the function does."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + WAL_WAIT_SECONDS
    while True:
        connection = sqlite3.connect(url.database, timeout=WAL_WAIT_SECONDS)
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)
        finally:
            connection.close()
