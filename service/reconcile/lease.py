"""The reconciler's lease: a process claims it when it is free, and renews it well before it ends."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import CursorResult, or_, select, text, update
from sqlalchemy.orm import Session

from service.store.database import Database
from service.store.schema.reconciler_tables import LeaseRow
from service.store.schema.tables import RunRow

LEASE_NAME = "reconciler"


_CLOCKS = {
    # Not now(), which is the time when the transaction began: it may have waited for a lock since.
    "postgresql": text("select extract(epoch from clock_timestamp())::float8"),
    # The clock of the machine that holds the file, in milliseconds.
    "sqlite": text("select (julianday('now') - 2440587.5) * 86400.0"),
}


DatabaseClock = Callable[[Session], float]
"""Returns Unix seconds from a clock that all users of the database share."""


class LeaseLost(Exception):
    """Another process has become the reconciler."""


def database_clock(session: Session) -> float:
    """Returns Unix seconds by the database's clock, so that the clocks of the reconcilers' machines do not matter."""
    return float(session.execute(_CLOCKS[session.get_bind().dialect.name]).scalar_one())


def claim_lease(database: Database, holder: str, lease_seconds: float, clock: DatabaseClock) -> int | None:
    """Claims the lease if it has ended. Returns the new fencing token, or None while another process holds the lease.

    The token is higher than any before. A lease that ends later than is possible comes from a clock that was set back
    since then, and counts as ended.
    """
    with database.read() as session:
        if _is_held(session, clock(session), lease_seconds):
            return None  # the usual case for a process that stands by: it takes no write lock
    with database.write() as session:
        now = clock(session)
        statement = (
            update(LeaseRow)
            .where(
                LeaseRow.name == LEASE_NAME,
                or_(LeaseRow.expires_at <= now, LeaseRow.expires_at > now + 2 * lease_seconds),
            )
            .values(fencing_token=LeaseRow.fencing_token + 1, holder=holder, expires_at=now + lease_seconds)
            .returning(LeaseRow.fencing_token)
        )
        return session.execute(statement.execution_options(synchronize_session=False)).scalar_one_or_none()


def renew_lease(database: Database, token: int, lease_seconds: float, clock: DatabaseClock) -> None:
    """Renews the lease for `lease_seconds`. Raises LeaseLost if another process has claimed it."""
    with database.write() as session:
        _set_expiry(session, token, clock(session) + lease_seconds)


def release_lease(database: Database, token: int) -> None:
    """Releases the lease, so that the next reconciler need not wait. Raises LeaseLost if another process holds it."""
    with database.write() as session:
        _set_expiry(session, token, 0.0)


def check_fence(session: Session, token: int) -> None:
    """Raises LeaseLost unless `token` is the latest. No other process can claim the lease during the transaction."""
    statement = select(LeaseRow.fencing_token).where(LeaseRow.name == LEASE_NAME)
    # SQLite has no row locks and needs none: from its start a write transaction is the only one.
    if session.execute(statement.with_for_update(read=True)).scalar_one() != token:
        raise LeaseLost(f"fencing token {token} is no longer the latest")


@contextmanager
def fenced_write(database: Database, run_id: str, token: int, now: float) -> Iterator[Session]:
    """Gives a transaction that only the current reconciler can make. Raises LeaseLost for a former one.

    It locks the run's row, so that this transaction and a user's command run one after the other. `now` is in Unix
    seconds.
    """
    with database.write() as session:
        check_fence(session, token)
        session.execute(update(RunRow).where(RunRow.id == run_id).values(updated_at=now))
        yield session


def _is_held(session: Session, now: float, lease_seconds: float) -> bool:
    expires_at = session.execute(select(LeaseRow.expires_at).where(LeaseRow.name == LEASE_NAME)).scalar_one()
    return now < expires_at <= now + 2 * lease_seconds


def _set_expiry(session: Session, token: int, expires_at: float) -> None:
    statement = (
        update(LeaseRow)
        .where(LeaseRow.name == LEASE_NAME, LeaseRow.fencing_token == token)
        .values(expires_at=expires_at)
        .execution_options(synchronize_session=False)
    )
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise LeaseLost(f"fencing token {token} is no longer the latest")


logger = logging.getLogger("service.reconcile")

GRANTED_SHARE = 0.8
"""The share of `lease_seconds` for which a lease is granted. The rest is the time that the next reconciler needs to
notice, so that it works within `lease_seconds`."""


class ReconcilerLease:
    """The lease of one reconciler process.

    The loop itself renews it, never a separate thread, so that a hanging loop loses it. The database's clock decides
    when it ends; `monotonic`, in seconds, only decides when to renew.
    """

    def __init__(
        self,
        database: Database,
        lease_seconds: float,
        clock: DatabaseClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._seconds = lease_seconds * GRANTED_SHARE
        self._clock = clock
        self._monotonic = monotonic
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"
        self._token: int | None = None
        self._renewed_at = 0.0
        self._has_said_that_it_stands_by = False

    def hold(self) -> int | None:
        """Claims the lease or renews it if due. Returns the fencing token, or None while another process holds it."""
        if self._token is None:
            return self._claim()
        try:
            self.hold_on()
        except LeaseLost:
            return self._claim()
        return self._token

    def hold_on(self) -> None:
        """Renews the lease if due; call it during work. Raises LeaseLost if another process has taken over."""
        if self._token is None or self._monotonic() - self._renewed_at >= self._seconds / 3:
            self.renew()

    def renew(self) -> None:
        """Renews the lease for its whole time. Raises LeaseLost if this process no longer holds it."""
        if self._token is None:
            raise LeaseLost("it was never ours")
        asked_at = self._monotonic()
        try:
            renew_lease(self._database, self._token, self._seconds, self._clock)
        except LeaseLost:
            self.forget()
            raise
        self._renewed_at = asked_at

    def forget(self) -> None:
        """Forgets a lease that another process has claimed."""
        if self._token is not None:
            logger.warning("another process has taken over")
        self._token = None

    def release(self) -> None:
        """Releases the lease if this process holds it."""
        if self._token is None:
            return
        try:
            release_lease(self._database, self._token)
        except LeaseLost:
            logger.info("the lease had been taken over already")
        self._token = None

    def _claim(self) -> int | None:
        asked_at = self._monotonic()
        self._token = claim_lease(self._database, self._holder, self._seconds, self._clock)
        if self._token is not None:
            self._renewed_at = asked_at
            self._has_said_that_it_stands_by = False
            logger.info("this process reconciles from now on, with fencing token %d", self._token)
        elif not self._has_said_that_it_stands_by:
            self._has_said_that_it_stands_by = True
            logger.info("another process reconciles; standing by")
        return self._token
