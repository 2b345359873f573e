"""Webhooks on both kinds of database, with receivers that are real HTTP servers."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait

import pytest
from sqlalchemy import select

from service.config.events import EventKind
from service.config.webhooks import WebhookRequest
from service.errors import Conflict, Forbidden, InvalidRequest, NotFound
from service.settings import Settings
from service.store.schema.caller_tables import IdempotencyKeyRow
from service.store.visibility import only_projects
from service.views.webhooks import NewWebhookView
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer, next_attempt_at
from tests.at_once import LONG_SECONDS
from tests.service.webhooks.delivering import SECOND, deliver, start, tell
from tests.support.webhook_receiver import Receiver, serving
from tests.support.workbench import MakeConfig, Workbench


def test_a_whole_run_is_told_in_order_and_once(
    bench: Workbench, run_config: MakeConfig, hook: NewWebhookView, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    run_id = start(bench, run_config)
    bench.play_to_the_end(bench.reconciler())

    deliver(deliverer)
    deliver(deliverer)

    told = [event for event in receiver.events if event["run_id"] == run_id]
    on_record = bench.queries.list_events(run_id, 200).items[::-1]
    assert [event["id"] for event in told] == [event.id for event in on_record]
    assert told[0]["kind"] == "run_created"
    assert told[-1]["kind"] == "run_succeeded"


def test_events_before_the_registration_are_not_sent(
    bench: Workbench, run_config: MakeConfig, webhooks: WebhookCommands, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    start(bench, run_config)
    webhooks.register(WebhookRequest(url=receiver.url))

    deliver(deliverer)

    assert receiver.received == []


def test_the_secret_is_shown_once(webhooks: WebhookCommands, hook: NewWebhookView) -> None:
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", hook.secret)
    assert "secret" not in webhooks.get(hook.id).model_dump()
    assert "secret" not in webhooks.list().items[0].model_dump()


def test_a_repeated_registration_is_a_conflict_and_no_secret_is_kept_for_it(
    bench: Workbench, webhooks: WebhookCommands, receiver: Receiver
) -> None:
    made = webhooks.register(WebhookRequest(url=receiver.url), "monday")
    with pytest.raises(Conflict, match=made.id):
        webhooks.register(WebhookRequest(url=receiver.url), "monday")
    assert len(webhooks.list().items) == 1
    with bench.database.read() as session:
        [answer] = session.scalars(select(IdempotencyKeyRow.answer))
    assert made.secret not in answer


def test_a_slow_receiver_holds_up_no_other(
    bench: Workbench, run_config: MakeConfig, webhooks: WebhookCommands, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    receiver.dawdle = threading.Event()
    with serving() as server:
        for url in (receiver.url, server.receiver.url):
            webhooks.register(WebhookRequest(url=url))
        run_id = start(bench, run_config)
        held = deliverer.tick()
        wait(held, timeout=LONG_SECONDS, return_when=FIRST_COMPLETED)
        tell(bench, run_id, SECOND)

        wait(deliverer.tick(), timeout=LONG_SECONDS)

        receiver.dawdle.set()
        wait(held, timeout=LONG_SECONDS)
    assert [event["kind"] for event in server.receiver.events] == ["run_created", SECOND]


def test_private_addresses_are_refused_at_registration(bench: Workbench, receiver: Receiver) -> None:
    strict = bench.services.webhooks
    for url in (receiver.url, "https://localhost/", "https://169.254.169.254/latest/", "gopher://example.org/"):
        with pytest.raises(InvalidRequest) as refused:
            strict.register(WebhookRequest(url=url))
        assert refused.value.field == "url"


def test_a_receiver_that_is_away_gets_everything_later(
    bench: Workbench, run_config: MakeConfig, webhooks: WebhookCommands, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    with serving() as away:
        url = away.receiver.url
    webhooks.register(WebhookRequest(url=url))
    run_id = start(bench, run_config)
    deliver(deliverer)

    with serving(away.server_address[1]) as back:
        bench.clock.advance(2)
        deliver(deliverer)

    assert [(event["run_id"], event["kind"]) for event in back.receiver.events] == [(run_id, "run_created")]


def test_only_the_kinds_that_were_asked_for_are_sent(
    bench: Workbench, run_config: MakeConfig, webhooks: WebhookCommands, deliverer: WebhookDeliverer, receiver: Receiver
) -> None:
    webhooks.register(WebhookRequest(url=receiver.url, kinds=(EventKind.RUN_SUCCEEDED,)))
    start(bench, run_config)
    bench.play_to_the_end(bench.reconciler())

    deliver(deliverer)

    assert [event["kind"] for event in receiver.events] == ["run_succeeded"]


def test_one_process_delivers_to_a_webhook_at_a_time_and_another_takes_over(
    bench: Workbench, run_config: MakeConfig, settings: Settings, hook: NewWebhookView, receiver: Receiver
) -> None:
    start(bench, run_config)
    first, second = (bench.reconciling(settings).deliverer for _ in range(2))
    first._queue(hook.id)  # and then it hangs, while it holds the lease

    deliver(second)
    assert receiver.received == []
    bench.clock.advance(60)
    deliver(second)
    assert len(receiver.received) == 1


def test_a_deleted_webhook_gets_nothing_and_leaves_nothing(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    receiver.answers = [500]
    start(bench, run_config)
    deliver(deliverer)
    webhooks.delete(hook.id)
    bench.clock.advance(10)
    deliver(deliverer)

    assert len(receiver.received) == 1
    with pytest.raises(NotFound):
        webhooks.list_deliveries(hook.id)
    with pytest.raises(NotFound):
        webhooks.delete(hook.id)


def test_a_caller_limited_to_projects_neither_sees_nor_changes_a_webhook(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    start(bench, run_config)
    deliver(deliverer)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: webhooks.register(WebhookRequest(url=receiver.url)),
        lambda: webhooks.get(hook.id),
        webhooks.list,
        lambda: webhooks.delete(hook.id),
        lambda: webhooks.list_deliveries(hook.id),
        lambda: webhooks.retry_delivery(hook.id, 1),
    )
    for attempt in attempts:
        with only_projects(frozenset({"pets"})), pytest.raises(Forbidden, match="every project"):
            attempt()
    assert [kept.id for kept in webhooks.list().items] == [hook.id]


def test_the_pauses_double_up_to_an_hour() -> None:
    assert [next_attempt_at(attempts, 0.0, 20) for attempts in (1, 2, 3, 12, 13, 19)] == [1, 2, 4, 2048, 3600, 3600]
    assert next_attempt_at(20, 0.0, 20) is None
