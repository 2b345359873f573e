"""The commands on webhooks: register, list and delete them, list their deliveries, and retry dead deliveries."""

import json
import time
from collections.abc import Callable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.access.own_project import for_all_projects
from service.config.settings.groups import WebhookSettings
from service.config.webhooks import WebhookRequest
from service.errors import Conflict, InvalidRequest, NotFound
from service.lifecycle.states import DeliveryState
from service.store.database import Database
from service.store.event_store import newest_event_id
from service.store.idempotency import OnceAnswers, request_hash
from service.store.paging import get_row, read_page
from service.store.run_store import new_id
from service.store.schema.caller_tables import WebhookDeliveryRow, WebhookRow
from service.store.schema.tables import EventRow
from service.views.base import Page, as_time, time_or_none
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView
from service.webhooks.addresses import AddressRefused, checked_addresses, parse_url
from service.webhooks.outbox import delete_webhook, delivery_counts, try_again
from service.webhooks.secret_box import SecretBox
from service.webhooks.signature import new_secret


class WebhookCommands:
    """For callers who may see every project; raises Forbidden for others. Thread-safe. `clock` returns Unix seconds."""

    def __init__(
        self,
        database: Database,
        settings: WebhookSettings,
        secrets: SecretBox,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._answers = OnceAnswers(database, clock)
        self._secrets = secrets

    def register(self, request: WebhookRequest, idempotency_key: str | None = None) -> NewWebhookView:
        """Registers a webhook, which receives the events from now on. Raises InvalidRequest for a refused URL.

        Only this answer contains the secret. Repeating the request with the same idempotency key raises Conflict,
        because a secret is shown only once. It also raises Conflict if there are already `webhooks.max_webhooks`.
        """
        _check_caller()
        asked = request_hash("register_webhook", request)
        first = self._answers.first(idempotency_key, asked, WebhookView)
        if first is not None:
            raise Conflict(f"this request made {first.id} before; a secret is shown once")
        try:
            checked_addresses(parse_url(request.url), self._settings.private_networks)
        except AddressRefused as error:
            raise InvalidRequest("url", str(error)) from error
        webhook_id, secret = new_id("hook"), new_secret()
        sealed = self._secrets.seal(secret)

        def register(session: Session, now: float) -> WebhookView:
            there = session.execute(select(func.count()).select_from(WebhookRow)).scalar_one()
            if there >= self._settings.max_webhooks:
                raise Conflict(f"there are already {there} webhooks, the maximum: delete one")
            row = WebhookRow(
                id=webhook_id,
                url=request.url,
                kinds=None if request.kinds is None else json.dumps(request.kinds),
                secret=sealed,
                created_at=now,
                queued_event_id=newest_event_id(session),
            )
            session.add(row)
            session.flush()
            return _view(row, {})

        made = self._answers.once(idempotency_key, asked, WebhookView, register)
        if made.id != webhook_id:
            raise Conflict(f"this request made {made.id} at the same time; a secret is shown once")
        return NewWebhookView(**dict(made), secret=secret)

    def get(self, webhook_id: str) -> WebhookView:
        _check_caller()
        with self._database.read() as session:
            [view] = _views(session, [_get(session, webhook_id)])
            return view

    def list(self, limit: int = 50, cursor: str | None = None) -> Page[WebhookView]:
        _check_caller()
        with self._database.read() as session:
            rows, following = read_page(session, WebhookRow, (WebhookRow.created_at, WebhookRow.id), limit, cursor)
            return Page(items=_views(session, rows), next_cursor=following)

    def delete(self, webhook_id: str) -> None:
        """Deletes a webhook and its deliveries. Raises NotFound."""
        _check_caller()
        with self._database.write() as session:
            if not delete_webhook(session, webhook_id):
                raise NotFound("webhook", webhook_id)

    def list_deliveries(self, webhook_id: str, limit: int = 50, cursor: str | None = None) -> Page[DeliveryView]:
        _check_caller()
        with self._database.read() as session:
            mine = WebhookDeliveryRow.webhook_id == webhook_id
            rows, following = read_page(
                session, WebhookDeliveryRow, (WebhookDeliveryRow.event_id,), limit, cursor, mine
            )
            if not rows:
                _get(session, webhook_id)
            return Page(items=_delivery_views(session, rows), next_cursor=following)

    def retry_delivery(self, webhook_id: str, event_id: int) -> DeliveryView:
        """Gives a dead delivery all its attempts again. Raises NotFound, or Conflict if it is not dead."""
        _check_caller()
        with self._database.write() as session:
            session.get(WebhookRow, webhook_id, with_for_update=True)  # the deliverer locks this row first, too
            key = (webhook_id, event_id)
            row = get_row(session, WebhookDeliveryRow, key, "delivery", f"{webhook_id}-{event_id}")
            if row.state != DeliveryState.DEAD:
                raise Conflict(f"the delivery of event {event_id} is {row.state}: only a dead one can be retried")
            try_again(session, row, self._clock())
            [view] = _delivery_views(session, [row])
            return view


def _check_caller() -> None:
    for_all_projects("a webhook is told of every project")


def _get(session: Session, webhook_id: str) -> WebhookRow:
    return get_row(session, WebhookRow, webhook_id, "webhook", webhook_id)


def _views(session: Session, rows: Sequence[WebhookRow]) -> "Sequence[WebhookView]":
    counts = delivery_counts(session, [row.id for row in rows])
    return [_view(row, counts) for row in rows]


def _view(row: WebhookRow, counts: dict[tuple[str, str], int]) -> WebhookView:
    return WebhookView(
        id=row.id,
        url=row.url,
        kinds=None if row.kinds is None else json.loads(row.kinds),
        created_at=as_time(row.created_at),
        pending=counts.get((row.id, DeliveryState.PENDING), 0),
        dead=counts.get((row.id, DeliveryState.DEAD), 0),
    )


def _delivery_views(session: Session, rows: Sequence[WebhookDeliveryRow]) -> "Sequence[DeliveryView]":
    events = select(EventRow.id, EventRow.kind).where(EventRow.id.in_([row.event_id for row in rows]))
    kinds = {event.id: event.kind for event in session.execute(events)}
    return [
        DeliveryView(
            event_id=row.event_id,
            run_id=row.run_id,
            kind=kinds[row.event_id],
            state=DeliveryState(row.state),
            attempts=row.attempts,
            next_attempt_at=time_or_none(row.next_attempt_at),
            last_attempt_at=time_or_none(row.last_attempt_at),
            last_status=row.last_status,
            last_error=row.last_error,
        )
        for row in rows
    ]
