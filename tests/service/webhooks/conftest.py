"""Fixtures of webhooks: a webhook for the test's receiver, and what delivers to it."""

import pytest

from service.config.webhooks import WebhookRequest
from service.settings import Settings
from service.views.webhooks import NewWebhookView
from service.webhooks.commands import WebhookCommands
from service.webhooks.deliverer import WebhookDeliverer
from tests.support.changed_settings import changed
from tests.support.webhook_receiver import LOOPBACK, Receiver
from tests.support.workbench import Workbench


@pytest.fixture
def settings(bench: Workbench) -> Settings:
    return changed(
        bench.settings, webhooks__private_networks=LOOPBACK, webhooks__max_attempts=3, webhooks__timeout_seconds=5.0
    )


@pytest.fixture
def webhooks(bench: Workbench, settings: Settings) -> WebhookCommands:
    return bench.services_with(settings).webhooks


@pytest.fixture
def hook(webhooks: WebhookCommands, receiver: Receiver) -> NewWebhookView:
    return webhooks.register(WebhookRequest(url=receiver.url))


@pytest.fixture
def deliverer(bench: Workbench, settings: Settings) -> WebhookDeliverer:
    return bench.reconciling(settings).deliverer
