"""Events of all runs, and the webhooks that they are sent to."""

from noisy_student.operations import Arguments, Body, Resource, operation
from noisy_student.pages import listing, stream
from noisy_student.transport import Way
from service.config.webhooks import WebhookRequest
from service.views.runs import EventView
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView


class Events(Resource[Way]):
    """What happens, in all runs; of one run: `runs.follow_events`."""

    @stream("/events/stream", EventView)
    def follow(self, after: int | None = None) -> Arguments:
        """Events as they happen, without end. Begins after the event with the id `after`, 0: with the first one; None:
        now. Connects again where the connection is lost."""
        return Arguments(query={"after": after})


class Webhooks(Resource[Way]):
    """Receivers of events, and the log of what was delivered to them."""

    @operation("POST", "/webhooks", NewWebhookView, WebhookRequest, once=True)
    def create(self, request: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Registers a receiver; the secret of the answer, which signatures are checked with, is shown this once."""
        return Arguments(body=request, idempotency_key=idempotency_key)

    @listing("/webhooks", WebhookView)
    def list(self, limit: int | None = None) -> Arguments:
        """All webhooks, the newest first, with how many events wait for them or were given up."""
        return Arguments(query={"limit": limit})

    @operation("GET", "/webhooks/{webhook_id}", WebhookView)
    def get(self, webhook_id: str) -> Arguments:
        """One webhook, without its secret."""
        return Arguments({"webhook_id": webhook_id})

    @operation("DELETE", "/webhooks/{webhook_id}", type(None))
    def delete(self, webhook_id: str) -> Arguments:
        """Sends nothing more to it, and forgets it and its deliveries."""
        return Arguments({"webhook_id": webhook_id})

    @listing("/webhooks/{webhook_id}/deliveries", DeliveryView)
    def deliveries(self, webhook_id: str, limit: int | None = None) -> Arguments:
        """What was sent, what waits and what was given up, the newest event first."""
        return Arguments({"webhook_id": webhook_id}, {"limit": limit})

    @operation("POST", "/webhooks/{webhook_id}/deliveries/{event_id}/retry", DeliveryView)
    def retry_delivery(self, webhook_id: str, event_id: int) -> Arguments:
        """Gives a delivery that was given up all its attempts again."""
        return Arguments({"webhook_id": webhook_id, "event_id": event_id})
