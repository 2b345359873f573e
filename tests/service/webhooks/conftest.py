"""What tests of webhooks share: a webhook of the test's receiver, and who delivers to it."""

from typing import Any

import pytest

from service.config.webhooks import WebhookRequest
from service.views.webhooks import NewWebhookView
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer
from tests.support.webhook_receiver import LOOPBACK, Receiver


@pytest.fixture
def settings(bench: Any) -> Any:
    return bench.settings.model_copy(
        update={"webhook_private_networks": LOOPBACK, "webhook_max_attempts": 3, "webhook_timeout_seconds": 5.0}
    )


@pytest.fixture
def webhooks(bench: Any, settings: Any) -> WebhookCommands:
    return WebhookCommands(bench.database, settings, bench.clock)


@pytest.fixture
def hook(webhooks: WebhookCommands, receiver: Receiver) -> NewWebhookView:
    return webhooks.register(WebhookRequest(url=receiver.url))


@pytest.fixture
def deliverer(bench: Any, settings: Any) -> WebhookDeliverer:
    return WebhookDeliverer(bench.database, settings, bench.clock)
