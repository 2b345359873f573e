"""Reads events in the order of their commits, for the event stream and the webhooks."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.schema.tables import EventRow

_ORDER_LOCK = 7_310_021_965
"""The number of the advisory lock. Any number would do, but all processes must use the same one."""


def keep_event_order(session: Session) -> None:
    """Makes event ids grow in the order of commits, so that readers miss none. Call it before adding an event.

    PostgreSQL assigns ids when rows are written, not when they are committed, so a reader that has seen event 7 would
    never look for event 6 of a slower transaction. This lock makes transactions that add events run one after another,
    from their first event to their end. SQLite has only one writer at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_ORDER_LOCK)))


def newest_event_id(session: Session) -> int:
    """Returns the largest event id, or 0 if there are no events yet."""
    return session.execute(select(func.coalesce(func.max(EventRow.id), 0))).scalar_one()


def events_after(session: Session, event_id: int, limit: int, run_id: str | None = None) -> Sequence[EventRow]:
    """Returns up to `limit` events with a larger id, oldest first, of all runs or of one."""
    statement = select(EventRow).where(EventRow.id > event_id).order_by(EventRow.id).limit(limit)
    if run_id is not None:
        statement = statement.where(EventRow.run_id == run_id)
    return session.scalars(statement).all()
