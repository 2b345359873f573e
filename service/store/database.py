"""One database, SQLite or PostgreSQL: its engine, and its sessions for reading and writing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.orm import Session

from service.errors import DatabaseUnavailable
from service.store.visibility import narrow_to_visible_rows

BUSY_TIMEOUT_SECONDS = 15
_POSTGRES_OPTIONS = {
    "connect_timeout": 5,
    # Notices a server that vanished within seconds, instead of after TCP's default of two hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # A process that hangs in the middle of a transaction (SIGSTOP, a frozen machine) loses the transaction and its
    # locks, so that the reconciler that takes over waits for them only this long.
    "options": "-c idle_in_transaction_session_timeout=5s -c lock_timeout=10s",
}
POOL_WAIT_SECONDS = 10.0
_PING_AFTER_SECONDS = 1.0
CONNECTIONS = 5
"""How many threads use the database at once; the others wait for a connection. More connections make a burst of
requests slower, not faster, because their threads compete for the interpreter. All of them belong to the pool, which
keeps them open: SQLAlchemy closes a connection beyond the pool's size after each use."""
_WRITERS = 2
"""How many of these connections may write at once. Writers wait for each other's locks; readers must not wait with
them."""
_POOL: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": POOL_WAIT_SECONDS}


class VisibleRowsSession(Session):
    """A session that sees only the rows of the caller's projects: see `service.store.visibility`."""


event.listen(VisibleRowsSession, "do_orm_execute", narrow_to_visible_rows)


class Database:
    """A database and its sessions. Thread-safe. `url` is sqlite:///FILE or postgresql://..., which always uses psycopg.

    The sessions raise DatabaseUnavailable if the database is unreachable, locked or full.
    """

    def __init__(self, url: str) -> None:
        self.engine = _create_engine(_with_driver(make_url(url)))
        # SQLite's "begin immediate" takes the write lock at once. Without it, a transaction that reads first and
        # writes later fails if another one wrote in between.
        self._write_engine = self.engine.execution_options(begin_immediate=True)
        self._read_engine = _with_isolation(self.engine, "REPEATABLE READ")
        self._single_engine = _with_isolation(self.engine, "AUTOCOMMIT")
        self._writers = threading.BoundedSemaphore(_WRITERS)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Gives a session for reading, in which all queries see the same moment. It rolls back anything written.

        Make no network calls within it.
        """
        with _unavailability(), VisibleRowsSession(self._read_engine) as session:
            yield session

    @contextmanager
    def read_once(self) -> Iterator[Session]:
        """Gives a session for queries that need not see the same moment.

        It has no transaction, which saves two round trips to PostgreSQL.
        """
        with _unavailability(), VisibleRowsSession(self._single_engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Gives a session in a transaction that commits at the end and rolls back on an exception.

        Make no network calls within it.
        """
        with (
            self._as_a_writer(),
            _unavailability(),
            VisibleRowsSession(self._write_engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def write_once(self) -> Iterator[Session]:
        """Gives a session for a single writing statement.

        PostgreSQL commits the statement by itself, which takes one round trip instead of three.
        """
        if self.engine.dialect.name == "sqlite":
            with self.write() as session:
                yield session
            return
        with _unavailability(), VisibleRowsSession(self._single_engine) as session, session.begin():
            yield session

    @contextmanager
    def write_connection(self) -> Iterator[Connection]:
        """Gives a connection in a transaction, like `write` but without the ORM, for migrations."""
        with self._write_engine.begin() as connection:
            yield connection

    @contextmanager
    def _as_a_writer(self) -> Iterator[None]:
        if not self._writers.acquire(timeout=POOL_WAIT_SECONDS):
            raise DatabaseUnavailable("the database is too slow: too many changes wait for it")
        try:
            yield
        finally:
            self._writers.release()

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()


@contextmanager
def _unavailability() -> Iterator[None]:
    try:
        yield
    # psycopg raises InternalError for a session that the server ended because it was idle in a transaction.
    except (OperationalError, InterfaceError, InternalError, NoFreeConnection) as error:
        cause = str(getattr(error, "orig", error)).strip().splitlines()
        raise DatabaseUnavailable(
            f"the database does not answer: {cause[0] if cause else type(error).__name__}"
        ) from error


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        options = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in url.query}
        engine = create_engine(
            url,
            **_POOL,
            connect_args=options,
        )
        event.listen(engine, "checkin", _note_return)
        event.listen(engine, "checkout", partial(_ping_if_idle, engine))
        return engine
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, **_POOL, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite_connection)
    event.listen(engine, "begin", _begin_sqlite_transaction)
    return engine


def _with_isolation(engine: Engine, level: str) -> Engine:
    """Returns the engine with the isolation level `level`; SQLite's engine stays as it is.

    SQLite's transactions see a single moment anyway. In PostgreSQL, unless a transaction is REPEATABLE READ, each query
    sees what others have committed meanwhile: a run created between two queries would appear without generations.
    """
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level=level)


def _note_return(_connection: Any, record: Any) -> None:
    record.info["returned_at"] = time.monotonic()


def _ping_if_idle(engine: Engine, connection: Any, record: Any, _proxy: Any) -> None:
    """Pings the server before using a connection that has been idle for a second, and replaces it if that fails.

    A restarted server then costs a round trip instead of a failed request. SQLAlchemy's own pool_pre_ping would ping
    on every checkout.
    """
    if time.monotonic() - record.info.get("returned_at", 0.0) < _PING_AFTER_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except Exception as error:  # whatever the driver raises, try another connection
        raise DisconnectionError from error


def _prepare_sqlite_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions: see _begin_sqlite_transaction
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    connection.execute("pragma foreign_keys = on")
    # With a write-ahead log, NORMAL loses nothing if a process dies; only a crash of the machine may lose commits.
    connection.execute("pragma synchronous = normal")


def _begin_sqlite_transaction(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("begin_immediate", False)
    connection.exec_driver_sql("begin immediate" if immediate else "begin")
