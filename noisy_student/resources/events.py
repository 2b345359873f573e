"""Events of all runs, and the webhooks that receive them."""

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing, stream
from noisy_student.transport import Way
from service.config.webhooks import WebhookRequest
from service.views.runs import EventView
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView


class Events(Resource[Way]):
    """The events of all runs. `runs.follow_events` has those of one run."""

    @stream("/events/stream", EventView)
    def follow(self, after: int | None = None) -> Arguments:
        """Yields events as they happen, without end. Starts after the event with id `after`; with the first event if it
        is 0, and now if it is None. Reconnects if the connection is lost."""
        return Arguments(query={"after": after})


class Webhooks(Resource[Way]):
    """Receivers of events, and the log of deliveries to them."""

    @operation("POST", "/webhooks", NewWebhookView, WebhookRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Registers a receiver. Only this response shows the secret with which to verify signatures."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/webhooks", WebhookView)
    def list(self, limit: int | None = None) -> Arguments:
        """Lists all webhooks, newest first, with how many of their deliveries are pending or dead."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/webhooks/{webhook_id}", WebhookView)
    def get(self, webhook_id: str) -> Arguments:
        """Returns one webhook, without its secret."""
        return Arguments({"webhook_id": webhook_id})

    @operation("DELETE", "/webhooks/{webhook_id}", type(None))
    def delete(self, webhook_id: str) -> Arguments:
        """Deletes a webhook and its deliveries. Nothing more is sent to it."""
        return Arguments({"webhook_id": webhook_id})

    @listing("/webhooks/{webhook_id}/deliveries", DeliveryView)
    def deliveries(self, webhook_id: str, limit: int | None = None) -> Arguments:
        """Lists the deliveries that were made, are pending, or are dead, newest event first."""
        return Arguments({"webhook_id": webhook_id}, {"limit": limit})

    @operation("POST", "/webhooks/{webhook_id}/deliveries/{event_id}/retry", DeliveryView)
    def retry_delivery(self, webhook_id: str, event_id: int) -> Arguments:
        """Sends a dead delivery again, with all of its attempts."""
        return Arguments({"webhook_id": webhook_id, "event_id": event_id})
