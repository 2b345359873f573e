"""Delivers events from the outbox to webhooks: at least once, in order for each run, without blocking anything else."""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import case, update

from service.background import repeat
from service.config.settings.groups import WebhookSettings
from service.errors import SecretsUnavailable
from service.lifecycle.states import DeliveryState
from service.runs.view_builder import event_view
from service.store.database import Database
from service.store.schema.caller_tables import WebhookDeliveryRow, WebhookRow
from service.webhooks.outbox import (
    DueDelivery,
    claim_webhook,
    due_deliveries,
    forget_delivered,
    let_next_be_tried,
    queue_new_events,
    release_webhook,
    webhooks_with_work,
)
from service.webhooks.secret_box import SecretBox, UnreadableSecret
from service.webhooks.sender import Outcome, send
from service.webhooks.signature import signed_headers

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_THREADS = 8
_TURN_SECONDS = 20.0
"""How long to serve one webhook before releasing its lease. The next turn continues."""
_LOG_SECONDS = 14 * 86_400.0
"""How long completed deliveries stay in the log: two weeks."""
_FORGET_EVERY_SECONDS = 3600.0


class LostTurn(Exception):
    """Another process now delivers to the webhook, or the webhook has been deleted."""


class WebhookDeliverer:
    """Delivers events. Several processes may do so at once; the one that holds a webhook's lease serves it.

    If a process dies after a receiver has answered and before it has recorded the answer, the event is sent again, with
    the same delivery id in its headers: at least once, not exactly once. `clock` returns Unix seconds.
    """

    def __init__(
        self, database: Database, settings: WebhookSettings, secrets: SecretBox, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._token = uuid.uuid4().hex
        self._lease_seconds = _TURN_SECONDS + 3 * settings.timeout_seconds
        self._forget_at = 0.0
        self._secrets = secrets
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook")
        self._served: set[str] = set()
        """The webhooks whose turn has begun or waits for a thread. `_lock` guards it."""
        self._lock = threading.Lock()

    def run_until(self, stop: threading.Event) -> None:
        """Delivers until `stop` is set, then waits for the turns that have begun."""
        repeat(self.tick, "delivering to webhooks", stop, _PAUSE_SECONDS)
        self._threads.shutdown(cancel_futures=True)

    def tick(self) -> Sequence[Future[None]]:
        """Starts a turn for each webhook that has events to send and whose last turn is over. Returns the new turns.

        It does not wait for them, so a slow receiver delays only its own events.
        """
        now = self._clock()
        with self._database.read() as session:
            webhook_ids = webhooks_with_work(session, now)
        turns = [self._threads.submit(self._turn, webhook_id) for webhook_id in self._free(webhook_ids)]
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY_SECONDS
            with self._database.write() as session:
                forget_delivered(session, now - _LOG_SECONDS)
        return turns

    def _free(self, webhook_ids: Sequence[str]) -> Sequence[str]:
        with self._lock:
            free = [webhook_id for webhook_id in webhook_ids if webhook_id not in self._served]
            self._served.update(free)
        return free

    def _turn(self, webhook_id: str) -> None:
        try:
            self._serve(webhook_id)
        except LostTurn:
            return
        except Exception:
            logger.exception("%s: delivering failed; trying again", webhook_id)
        finally:
            with self._lock:
                self._served.discard(webhook_id)

    def _serve(self, webhook_id: str) -> None:
        more = True
        while more:
            more = self._queue(webhook_id)
        end = self._clock() + _TURN_SECONDS
        while self._clock() < end:
            with self._database.read() as session:
                webhook = session.get(WebhookRow, webhook_id)
                due = due_deliveries(session, webhook_id, self._clock())
            if webhook is None or not due:
                break
            for delivery in due:
                if self._clock() >= end:
                    break
                self._record(webhook_id, delivery, self._send(webhook, delivery))
        with self._database.write() as session:
            release_webhook(session, webhook_id, self._token)

    def _queue(self, webhook_id: str) -> bool:
        with self._database.write() as session:
            now = self._clock()
            if not claim_webhook(session, webhook_id, self._token, now, now + self._lease_seconds):
                raise LostTurn(webhook_id)
            return queue_new_events(session, webhook_id, now)

    def _send(self, webhook: WebhookRow, delivery: DueDelivery) -> Outcome:
        event = delivery.event
        body = event_view(event).model_dump_json()
        try:
            secret = self._secrets.open(webhook.secret)
        except (UnreadableSecret, SecretsUnavailable) as error:
            return Outcome(error=f"not sent: its secret cannot be read: {error}")
        headers = signed_headers(secret, f"{webhook.id}-{event.id}", body, self._clock())
        allowed = self._settings.private_networks
        return send(webhook.url, headers, body.encode(), allowed, self._settings.timeout_seconds)

    def _record(self, webhook_id: str, delivery: DueDelivery, outcome: Outcome) -> None:
        attempts, event_id = delivery.attempts + 1, delivery.event.id
        with self._database.write() as session:
            now = self._clock()
            if not claim_webhook(session, webhook_id, self._token, now, now + self._lease_seconds):
                raise LostTurn(webhook_id)
            following = next_attempt_at(attempts, now, self._settings.max_attempts) if outcome.error else None
            left = DeliveryState.PENDING if following is not None else DeliveryState.DEAD
            is_next = WebhookDeliveryRow.next_attempt_at.is_not(None)  # false if an earlier event was retried meanwhile
            session.execute(
                update(WebhookDeliveryRow)
                .where(WebhookDeliveryRow.webhook_id == webhook_id, WebhookDeliveryRow.event_id == event_id)
                .values(
                    state=left if outcome.error else DeliveryState.DELIVERED,
                    attempts=attempts,
                    next_attempt_at=None if following is None else case((is_next, following)),
                    last_attempt_at=now,
                    last_status=outcome.status,
                    last_error=outcome.error,
                )
            )
            if following is None:
                let_next_be_tried(session, webhook_id, delivery.event.run_id, now)
        if outcome.error:
            logger.info("%s: event %d, attempt %d: %s", webhook_id, event_id, attempts, outcome.error)


FIRST_DELAY_SECONDS = 1.0


LONGEST_DELAY_SECONDS = 3600.0


def next_attempt_at(attempts: int, now: float, max_attempts: int) -> float | None:
    """Returns when to try again after `attempts` failed attempts, in Unix seconds, or None to give up."""
    if attempts >= max_attempts:
        return None
    doubled: float = FIRST_DELAY_SECONDS * 2 ** min(attempts - 1, 30)
    return now + min(LONGEST_DELAY_SECONDS, doubled)
