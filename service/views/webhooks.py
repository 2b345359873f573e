"""The API's answers about webhooks and their deliveries."""

from datetime import datetime

from pydantic import Field

from service.lifecycle.states import DeliveryState
from service.views.base import View


class WebhookView(View):
    id: str
    url: str
    kinds: list[str] | None = Field(description="Null: all events.")
    created_at: datetime
    pending: int = Field(description="Events that wait to be delivered, those tried before included.")
    dead: int = Field(description="Events that were given up.")


class NewWebhookView(WebhookView):
    secret: str = Field(
        description="Key of the signatures, as verifiers of Standard Webhooks take it. It is shown this once."
    )


class DeliveryView(View):
    """One event for one webhook."""

    event_id: int
    run_id: str | None
    kind: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="Null where none is to come, and while an earlier event of the run is pending."
    )
    last_attempt_at: datetime | None
    last_status: int | None = Field(description="HTTP status that the receiver answered; null where it did not.")
    last_error: str | None
