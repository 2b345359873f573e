"""The database stores webhook secrets sealed, and they still sign deliveries."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import update
from standardwebhooks import Webhook

from service.lifecycle.states import DeliveryState
from service.settings import Settings
from service.store.schema.caller_tables import WebhookRow
from service.views.webhooks import NewWebhookView
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer
from service.webhooks.sealing import seal_webhook_secrets
from service.webhooks.secret_box import SecretBox
from tests.service.webhooks.delivering import deliver, start
from tests.support.webhook_receiver import Receiver
from tests.support.workbench import MakeConfig, Workbench

pytestmark = pytest.mark.attack


def stored(bench: Workbench) -> list[str]:
    with bench.database.read() as session:
        return [row.secret for row in session.query(WebhookRow)]


def files_with(bench: Workbench, text: str) -> list[str]:
    """SQLite's files that contain the text. PostgreSQL's files belong to its server."""
    if bench.database.engine.dialect.name != "sqlite":
        pytest.skip("the files of PostgreSQL are looked after by its server")
    name = str(bench.database.engine.url.database)
    return [file for file in (name, f"{name}-wal") if Path(file).exists() and text.encode() in Path(file).read_bytes()]


def store_in_clear(bench: Workbench, secret: str) -> None:
    """Stores the secret in plain text, as earlier versions did."""
    with bench.database.write() as session:
        session.execute(update(WebhookRow).values(secret=secret))


def test_the_database_does_not_hold_the_secret(bench: Workbench, hook: NewWebhookView) -> None:
    [sealed] = stored(bench)
    assert sealed != hook.secret
    assert files_with(bench, hook.secret) == []
    assert files_with(bench, sealed) != []


def test_what_is_sent_is_signed_with_the_secret_that_was_shown(
    bench: Workbench, hook: NewWebhookView, deliverer: WebhookDeliverer, receiver: Receiver, run_config: MakeConfig
) -> None:
    start(bench, run_config)
    deliver(deliverer)
    headers, body = receiver.received[0]
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert headers["webhook-signature"] == Webhook(hook.secret).sign(headers["webhook-id"], at, body.decode())


def test_secrets_in_clear_are_sealed_once_and_leave_no_trace(
    bench: Workbench, settings: Settings, hook: NewWebhookView
) -> None:
    store_in_clear(bench, "in-clear-" * 5)
    assert files_with(bench, "in-clear-" * 5) != []
    box = SecretBox(Path(settings.secret_keys_file))

    assert seal_webhook_secrets(bench.database, box) == 1

    assert [box.open(each) for each in stored(bench)] == ["in-clear-" * 5]
    assert files_with(bench, "in-clear-" * 5) == []
    assert seal_webhook_secrets(bench.database, box) == 0


def test_a_new_key_takes_over_and_the_old_one_may_go(
    bench: Workbench, settings: Settings, hook: NewWebhookView
) -> None:
    file = Path(settings.secret_keys_file)
    new = Fernet.generate_key()
    file.write_bytes(new + b"\n" + file.read_bytes())
    assert seal_webhook_secrets(bench.database, SecretBox(file)) == 1
    file.write_bytes(new)
    assert [SecretBox(file).open(each) for each in stored(bench)] == [hook.secret]


def test_without_its_key_nothing_is_sent_and_the_delivery_says_why(
    bench: Workbench,
    settings: Settings,
    hook: NewWebhookView,
    receiver: Receiver,
    webhooks: WebhookCommands,
    run_config: MakeConfig,
) -> None:
    Path(settings.secret_keys_file).unlink()
    seal_webhook_secrets(bench.database, SecretBox(Path(settings.secret_keys_file)))
    start(bench, run_config)
    deliver(bench.reconciling(settings).deliverer)
    assert receiver.received == []
    oldest = webhooks.list_deliveries(hook.id).items[-1]
    assert oldest.state == DeliveryState.PENDING
    assert "secret cannot be read" in (oldest.last_error or "")
