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
    pending: int = Field(description="Number of undelivered events, including those already tried.")
    dead: int = Field(description="Number of dead deliveries.")


class NewWebhookView(WebhookView):
    secret: str = Field(
        description="The signing key, in the form that Standard Webhooks verifiers accept. It is shown only once."
    )


class DeliveryView(View):
    """One event for one webhook."""

    event_id: int
    run_id: str | None
    kind: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="Null if there is none, or while an earlier event of the run is pending."
    )
    last_attempt_at: datetime | None
    last_status: int | None = Field(description="The receiver's HTTP status; null if it did not answer.")
    last_error: str | None
