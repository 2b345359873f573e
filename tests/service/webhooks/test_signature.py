"""Deliveries are signed according to Standard Webhooks; its library verifies them at the receiver."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from service.settings import Settings
from service.store.schema.caller_tables import WebhookRow
from service.views.webhooks import NewWebhookView
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer
from service.webhooks.secret_box import SecretBox
from service.webhooks.signature import new_secret, signed_headers
from tests.service.webhooks.delivering import deliver, start
from tests.support.webhook_receiver import Receiver
from tests.support.workbench import MakeConfig, Workbench


@pytest.fixture
def deliverer(bench: Workbench, settings: Settings) -> WebhookDeliverer:
    """Uses the real time, because verifiers reject what is older than five minutes."""
    return WebhookDeliverer(bench.database, settings.webhooks, SecretBox(Path(settings.secret_keys_file)), time.time)


def statuses(webhooks: WebhookCommands, hook: NewWebhookView) -> list[int | None]:
    return [delivery.last_status for delivery in webhooks.list_deliveries(hook.id).items]


def test_a_receiver_verifies_what_it_is_sent_with_the_library(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    receiver.verifier = Webhook(hook.secret)
    start(bench, run_config)
    deliver(deliverer)
    assert statuses(webhooks, hook) == [204]
    [(headers, body)] = receiver.received
    assert headers["webhook-id"] == f"{hook.id}-{json.loads(body)['id']}"
    assert not [name for name in headers if name.startswith("Noisy-Student")]


@pytest.mark.attack
def test_a_receiver_with_another_secret_refuses_it(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    receiver.verifier = Webhook(new_secret())
    start(bench, run_config)
    deliver(deliverer)
    assert statuses(webhooks, hook) == [401]


def test_a_second_attempt_has_the_same_id_and_a_time_of_its_own(
    bench: Workbench, run_config: MakeConfig, settings: Settings, hook: NewWebhookView, receiver: Receiver
) -> None:
    receiver.answers = [500]
    deliverer = bench.reconciling(settings).deliverer
    start(bench, run_config)
    deliver(deliverer)
    bench.clock.advance(10)
    deliver(deliverer)
    (first, _), (second, _) = receiver.received
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 10
    assert first["webhook-signature"] != second["webhook-signature"]


def test_the_signature_is_of_id_time_and_body() -> None:
    """The signature, computed as the specification says."""
    key = bytes(range(32))
    headers = signed_headers(f"whsec_{base64.b64encode(key).decode()}", "hook-1-7", '{"id":7}', 1_700_000_000.9)
    mac = hmac.new(key, b'hook-1-7.1700000000.{"id":7}', hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert headers["webhook-timestamp"] == "1700000000"


def test_secrets_differ_and_are_as_long_as_the_specification_asks() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in made} == {32}


def test_a_secret_of_version_0_1_keeps_its_key(
    bench: Workbench,
    run_config: MakeConfig,
    webhooks: WebhookCommands,
    hook: NewWebhookView,
    deliverer: WebhookDeliverer,
    receiver: Receiver,
) -> None:
    """Its receiver passes the characters themselves to the library, or encodes them as the changelog says."""
    old = "5e1f" * 16
    with bench.database.write() as session:
        session.execute(update(WebhookRow).values(secret=old))
    receiver.verifier = Webhook(f"whsec_{base64.b64encode(old.encode()).decode()}")
    start(bench, run_config)
    deliver(deliverer)
    assert statuses(webhooks, hook) == [204]
    headers, body = receiver.received[0]
    assert Webhook(old.encode()).verify(body, headers)["kind"] == "run_created"
