"""Events in the order in which they were committed: what the event stream and the webhooks read."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.schema.tables import EventRow

_ORDER_LOCK = 7_310_021_965
"""Any number, the same in every process."""


def keep_event_order(session: Session) -> None:
    """Called before an event is added: makes ids grow in the order of commits, so that a reader misses none.

    PostgreSQL gives out ids when rows are written, not when they are committed: a reader that has seen event 7 would
    never look for event 6 of a slower transaction. Transactions that add events therefore come one after the other,
    from their first event to their end. SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_ORDER_LOCK)))


def newest_event_id(session: Session) -> int:
    """0 where there are no events yet."""
    return session.execute(select(func.coalesce(func.max(EventRow.id), 0))).scalar_one()


def events_after(session: Session, event_id: int, limit: int, run_id: str | None = None) -> Sequence[EventRow]:
    """The next events, oldest first: of all, or of one run."""
    statement = select(EventRow).where(EventRow.id > event_id).order_by(EventRow.id).limit(limit)
    if run_id is not None:
        statement = statement.where(EventRow.run_id == run_id)
    return session.scalars(statement).all()
