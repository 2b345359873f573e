"""Leases on runs: which reconciler looks after which run, and the fence that keeps the others' writes out."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import CursorResult, Update, or_, update
from sqlalchemy.orm import Session

from service.states import ACTIVE_RUNS
from service.store.database import Database
from service.store.tables import RunRow


class LeaseLost(Exception):
    """Another reconciler looks after the run now, or it is over."""


def claim_lease(database: Database, run_id: str, token: str, now: float, expires_at: float) -> bool:
    """Takes the lease of an active run that nobody holds, or whose holder has let it expire."""
    statement = (
        update(RunRow)
        .where(
            RunRow.id == run_id,
            RunRow.state.in_([state.value for state in ACTIVE_RUNS]),
            or_(RunRow.lease_token.is_(None), RunRow.lease_expires_at <= now),
        )
        .values(lease_token=token, lease_expires_at=expires_at)
    )
    with database.write() as session:
        return _changed(session, statement)


def renew_lease(database: Database, run_id: str, token: str, expires_at: float) -> None:
    """Keeps a lease for longer; raises LeaseLost where another has taken it."""
    statement = (
        update(RunRow).where(RunRow.id == run_id, RunRow.lease_token == token).values(lease_expires_at=expires_at)
    )
    with database.write() as session:
        if not _changed(session, statement):
            raise LeaseLost(run_id)


def release_lease(database: Database, run_id: str, token: str) -> None:
    """Gives a lease back, if it is still ours."""
    statement = (
        update(RunRow)
        .where(RunRow.id == run_id, RunRow.lease_token == token)
        .values(lease_token=None, lease_expires_at=None)
    )
    with database.write() as session:
        _changed(session, statement)


@contextmanager
def fenced_write(database: Database, run_id: str, token: str, now: float) -> Iterator[Session]:
    """A transaction that only the holder of the lease can make: LeaseLost, and nothing written, for anyone else.

    Its first statement locks the run's row, so that it and a user's command come one after the other.
    """
    statement = update(RunRow).where(RunRow.id == run_id, RunRow.lease_token == token).values(updated_at=now)
    with database.write() as session:
        if not _changed(session, statement):
            raise LeaseLost(run_id)
        yield session


def _changed(session: Session, statement: Update) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
