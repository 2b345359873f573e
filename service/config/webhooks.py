"""Webhooks as they are asked for."""

from pydantic import Field

from service.config.events import EventKind
from workers.specs.base import Frozen


class WebhookRequest(Frozen):
    """The body of POST /webhooks."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, of a host with public addresses only; http and private addresses where the setting "
        "webhooks.private_networks allows them.",
    )
    kinds: tuple[EventKind, ...] | None = Field(
        default=None, min_length=1, max_length=100, description="Kinds of events to deliver; null: all of them."
    )
