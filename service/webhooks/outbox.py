"""Reads and writes webhooks and their deliveries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CursorResult, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from service.lifecycle.states import DeliveryState
from service.store.event_store import events_after
from service.store.schema.caller_tables import WebhookDeliveryRow, WebhookRow
from service.store.schema.columns import one_of
from service.store.schema.tables import EventRow

_QUEUED_AT_ONCE = 500
_SENT_AT_ONCE = 100


@dataclass(frozen=True)
class DueDelivery:
    """An event that is due, and how many attempts have been made."""

    event: EventRow
    attempts: int


def webhooks_with_work(session: Session, now: float) -> list[str]:
    """Returns the ids of webhooks that have events to queue or deliveries that are due at `now`, in Unix seconds."""
    newest = select(func.coalesce(func.max(EventRow.id), 0)).scalar_subquery()
    due = exists().where(WebhookDeliveryRow.webhook_id == WebhookRow.id, WebhookDeliveryRow.next_attempt_at <= now)
    statement = select(WebhookRow.id).where(or_(WebhookRow.queued_event_id < newest, due))
    return list(session.scalars(statement.order_by(WebhookRow.id)))


def claim_webhook(session: Session, webhook_id: str, token: str, now: float, expires_at: float) -> bool:
    """Takes a webhook's lease, or renews it if `token` holds it. Returns False if another process holds it."""
    free = or_(WebhookRow.lease_token.is_(None), WebhookRow.lease_token == token, WebhookRow.lease_expires_at <= now)
    statement = (
        update(WebhookRow)
        .where(WebhookRow.id == webhook_id, free)
        .values(lease_token=token, lease_expires_at=expires_at)
        .execution_options(synchronize_session=False)
    )
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def release_webhook(session: Session, webhook_id: str, token: str) -> None:
    """Releases the lease if `token` still holds it."""
    session.execute(
        update(WebhookRow)
        .where(WebhookRow.id == webhook_id, WebhookRow.lease_token == token)
        .values(lease_token=None, lease_expires_at=None)
    )


def queue_new_events(session: Session, webhook_id: str, now: float) -> bool:
    """Queues the next events for a webhook. Returns whether there may be more. The caller must hold the lease."""
    webhook = session.execute(select(WebhookRow).where(WebhookRow.id == webhook_id)).scalar_one()
    kinds = None if webhook.kinds is None else frozenset(json.loads(webhook.kinds))
    events = events_after(session, webhook.queued_event_id, _QUEUED_AT_ONCE)
    wanted = [event for event in events if kinds is None or event.kind in kinds]
    for event in wanted:
        session.add(
            WebhookDeliveryRow(
                webhook_id=webhook_id, event_id=event.id, run_id=event.run_id, state=DeliveryState.PENDING, attempts=0
            )
        )
    if events:
        webhook.queued_event_id = events[-1].id
    session.flush()
    for run_id in {event.run_id for event in wanted}:
        let_next_be_tried(session, webhook_id, run_id, now)
    return len(events) == _QUEUED_AT_ONCE


def due_deliveries(session: Session, webhook_id: str, now: float) -> list[DueDelivery]:
    """Returns the oldest pending event of each run, if it is due. Only later events of the same run wait for it.

    Waiting events have no `next_attempt_at`, so the query does not scan a backlog of them.
    """
    statement = (
        select(EventRow, WebhookDeliveryRow.attempts)
        .join(WebhookDeliveryRow, WebhookDeliveryRow.event_id == EventRow.id)
        .where(WebhookDeliveryRow.webhook_id == webhook_id, WebhookDeliveryRow.next_attempt_at <= now)
        .order_by(WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.event_id)
        .limit(_SENT_AT_ONCE)
    )
    return [DueDelivery(row[0], row[1]) for row in session.execute(statement)]


def let_next_be_tried(session: Session, webhook_id: str, run_id: str | None, now: float) -> None:
    """Makes the oldest pending event of a run due, unless it already has a time. Lock the webhook's row first."""
    oldest = (
        select(WebhookDeliveryRow.event_id)
        .where(*_pending(webhook_id, run_id))
        .order_by(WebhookDeliveryRow.run_id, WebhookDeliveryRow.event_id)
        .limit(1)
    )
    session.execute(
        update(WebhookDeliveryRow)
        .where(
            WebhookDeliveryRow.webhook_id == webhook_id,
            WebhookDeliveryRow.event_id == oldest.scalar_subquery(),
            WebhookDeliveryRow.next_attempt_at.is_(None),
        )
        .values(next_attempt_at=now),
        execution_options={"synchronize_session": False},
    )


def try_again(session: Session, dead: WebhookDeliveryRow, now: float) -> None:
    """Gives a dead delivery all its attempts again, before its run's later events. Lock the webhook's row first."""
    dead.state, dead.attempts = DeliveryState.PENDING, 0
    session.flush()
    session.execute(
        update(WebhookDeliveryRow)
        .where(*_pending(dead.webhook_id, dead.run_id), WebhookDeliveryRow.event_id > dead.event_id)
        .values(next_attempt_at=None),
        execution_options={"synchronize_session": False},
    )
    let_next_be_tried(session, dead.webhook_id, dead.run_id, now)
    session.refresh(dead)


def delivery_counts(session: Session, webhook_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """Counts the pending and dead deliveries by webhook and state. It skips delivered ones, which are many."""
    left = [DeliveryState.PENDING, DeliveryState.DEAD]
    statement = (
        select(WebhookDeliveryRow.webhook_id, WebhookDeliveryRow.state, func.count())
        .where(WebhookDeliveryRow.webhook_id.in_(webhook_ids), WebhookDeliveryRow.state.in_(left))
        .group_by(WebhookDeliveryRow.webhook_id, WebhookDeliveryRow.state)
    )
    return {(webhook_id, state): count for webhook_id, state, count in session.execute(statement)}


def forget_delivered(session: Session, before: float) -> None:
    """Deletes the deliveries that were completed before a time, in Unix seconds, from the log."""
    session.execute(
        delete(WebhookDeliveryRow).where(
            one_of(WebhookDeliveryRow.state, [DeliveryState.DELIVERED]), WebhookDeliveryRow.last_attempt_at < before
        )
    )


def delete_webhook(session: Session, webhook_id: str) -> bool:
    """Deletes a webhook and its deliveries. Returns whether it existed."""
    session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook_id))
    result = session.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def _pending(webhook_id: str, run_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return (
        WebhookDeliveryRow.webhook_id == webhook_id,
        WebhookDeliveryRow.run_id == run_id,
        one_of(WebhookDeliveryRow.state, [DeliveryState.PENDING]),
    )
