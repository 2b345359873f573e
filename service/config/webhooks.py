"""The request for a webhook."""

from pydantic import Field

from service.config.events import EventKind
from workers.specs.base import Frozen


class WebhookRequest(Frozen):
    """The body of POST /webhooks."""

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="An https URL whose host has only public addresses. The setting webhooks.private_networks can "
        "allow http and private addresses.",
    )
    kinds: tuple[EventKind, ...] | None = Field(
        default=None, min_length=1, max_length=100, description="Event kinds to deliver; null: all."
    )
