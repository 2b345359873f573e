"""Which of a run's events is sent next when deliveries fail, die and are retried."""

from typing import Any

import pytest
from sqlalchemy import select

from service.errors import Conflict
from service.store.schema.caller_tables import WebhookDeliveryRow
from service.views.webhooks import NewWebhookView
from service.webhooks import outbox as webhook_store
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer
from service.webhooks.outbox import due_deliveries, webhooks_with_work
from tests.service.webhooks.delivering import FIRST, LATER, SECOND, THIRD, deliver, start, tell
from tests.support.webhook_receiver import Receiver
from tests.support.workbench import MakeConfig, Workbench


def test_a_failed_delivery_holds_back_its_runs_later_events_and_no_others(
    bench: Workbench, run_config: MakeConfig, hook: NewWebhookView, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    failing, other = start(bench, run_config), start(bench, run_config)
    receiver.failing_runs.add(failing)
    tell(bench, failing, SECOND)
    tell(bench, other, SECOND)

    deliver(deliverer)
    assert [(e["run_id"], e["kind"]) for e in receiver.events if e["run_id"] == failing] == [(failing, "run_created")]
    assert [e["kind"] for e in receiver.events if e["run_id"] == other] == ["run_created", SECOND]

    receiver.failing_runs.clear()
    receiver.received.clear()
    deliver(deliverer)
    assert receiver.received == [], "it is not time to try again"
    bench.clock.advance(1.0)
    deliver(deliverer)
    assert [e["kind"] for e in receiver.events] == ["run_created", SECOND]


def test_after_as_many_attempts_as_allowed_it_is_dead_and_the_next_event_follows(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    run_id = start(bench, run_config)
    tell(bench, run_id, SECOND)
    receiver.answers = [500, 302, 500]
    for _ in range(3):
        deliver(deliverer)
        bench.clock.advance(10)

    second, first = webhooks.list_deliveries(hook.id).items
    assert (first.state, first.attempts, first.last_status, first.next_attempt_at) == ("dead", 3, 500, None)
    assert first.last_error == "answered 500"
    assert (second.kind, second.state, second.attempts) == (SECOND, "delivered", 1)
    assert (webhooks.get(hook.id).dead, webhooks.get(hook.id).pending) == (1, 0)

    webhooks.retry_delivery(hook.id, first.event_id)
    deliver(deliverer)
    assert receiver.events[-1]["id"] == first.event_id
    assert webhooks.list_deliveries(hook.id).items[1].state == "delivered"
    with pytest.raises(Conflict, match="only a dead one"):
        webhooks.retry_delivery(hook.id, first.event_id)


def test_a_backlog_leaves_no_more_to_look_at_than_the_oldest_event_of_each_run(
    bench: Workbench,
    run_config: MakeConfig,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_store, "_QUEUED_AT_ONCE", 20)
    runs = [start(bench, run_config) for _ in range(3)]
    receiver.failing_runs.update(runs)
    for run_id in runs:
        tell(bench, run_id, *[LATER] * 15)

    deliver(deliverer)

    def left(at: float) -> tuple[int, list[str], int]:
        with bench.database.read() as session:
            timed = session.scalars(select(WebhookDeliveryRow).where(WebhookDeliveryRow.next_attempt_at.is_not(None)))
            return len(timed.all()), webhooks_with_work(session, at), len(due_deliveries(session, hook.id, at))

    now = bench.clock()
    assert len(receiver.events) == 3
    assert left(now) == (3, [], 0), "they were tried, and it is not time to try them again"
    assert left(now + 1.0) == (3, [hook.id], 3)

    receiver.failing_runs.clear()
    receiver.received.clear()
    bench.clock.advance(1.0)
    deliver(deliverer)
    for run_id in runs:
        told = [event["id"] for event in receiver.events if event["run_id"] == run_id]
        assert len(told) == 16
        assert told == sorted(told)
    assert left(bench.clock()) == (0, [], 0)


def test_events_of_no_run_are_told_in_their_order_too(
    bench: Workbench, run_config: MakeConfig, hook: NewWebhookView, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    receiver.answers = [500]
    tell(bench, None, FIRST, SECOND)
    deliver(deliverer)
    tell(bench, None, THIRD)
    deliver(deliverer)
    bench.clock.advance(1.0)
    deliver(deliverer)

    assert [event["kind"] for event in receiver.events] == [FIRST, FIRST, SECOND, THIRD]


def test_a_dead_event_that_is_tried_again_comes_before_its_runs_later_ones(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    run_id = start(bench, run_config)
    tell(bench, run_id, SECOND, THIRD)
    receiver.answers = [500] * 4  # then the first is dead, and the second has failed once
    for _ in range(3):
        deliver(deliverer)
        bench.clock.advance(10)
    _, second, first = webhooks.list_deliveries(hook.id).items
    assert (first.state, second.state, second.attempts) == ("dead", "pending", 1)

    assert webhooks.retry_delivery(hook.id, first.event_id).next_attempt_at is not None
    assert [delivery.next_attempt_at for delivery in webhooks.list_deliveries(hook.id).items[:2]] == [None, None]
    receiver.answers, receiver.received = [500], []
    deliver(deliverer)
    bench.clock.advance(10)
    deliver(deliverer)

    kinds = [event["kind"] for event in receiver.events]
    assert kinds == ["run_created", "run_created", SECOND, THIRD]


def test_an_event_that_is_being_sent_while_an_earlier_one_is_retried_waits_for_it_then(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = start(bench, run_config)
    tell(bench, run_id, SECOND)
    receiver.answers = [500] * 4
    for _ in range(3):
        deliver(deliverer)
        bench.clock.advance(10)
    first = webhooks.list_deliveries(hook.id).items[1]
    send = deliverer._send

    def retried_meanwhile(webhook: Any, delivery: Any) -> Any:
        monkeypatch.setattr(deliverer, "_send", send)
        webhooks.retry_delivery(hook.id, first.event_id)
        return send(webhook, delivery)

    with bench.database.read() as session:
        [second] = due_deliveries(session, hook.id, bench.clock())
    monkeypatch.setattr(deliverer, "_send", retried_meanwhile)
    receiver.answers, receiver.received = [500], []
    deliver(deliverer)
    bench.clock.advance(10)
    deliver(deliverer)

    assert second.event.kind == SECOND
    assert [event["kind"] for event in receiver.events] == [SECOND, "run_created", SECOND]
