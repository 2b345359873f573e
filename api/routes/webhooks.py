"""/webhooks: event receivers and their delivery logs."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from api.dependencies import Cursor, IdempotencyKey, Limit, WebhookId, Webhooks
from api.examples.answers import answers, page_of
from api.examples.lifecycle import DELIVERY, NEW_WEBHOOK, WEBHOOK, WEBHOOK_REQUESTS
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.webhooks import WebhookRequest
from service.views.base import Page
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
EventId = Annotated[int, Path(ge=1, le=2**31 - 1, description="The event's id.", examples=[42])]


@router.post(
    "",
    status_code=201,
    summary="Register a webhook",
    responses=answers(201, NEW_WEBHOOK, "Registered") | problem_responses(400, 409, 415, 422),
)
def register_webhook(
    request: Annotated[WebhookRequest, strict_json(WebhookRequest), Body(openapi_examples=WEBHOOK_REQUESTS)],
    response: Response,
    webhooks: Webhooks,
    idempotency_key: IdempotencyKey = None,
) -> NewWebhookView:
    """Posts events from now on to the URL, signed with the secret in this response. The secret is shown only once, so
    repeating the request with the same idempotency key is a conflict. A run's events arrive in order; failed deliveries
    are retried with growing pauses."""
    webhook = webhooks.register(request, idempotency_key)
    response.headers["Location"] = f"/webhooks/{webhook.id}"
    return webhook


@router.get("", summary="List webhooks", responses=answers(200, page_of(WEBHOOK), "One page") | problem_responses(422))
def list_webhooks(webhooks: Webhooks, limit: Limit = 50, cursor: Cursor = None) -> Page[WebhookView]:
    """Lists all webhooks, newest first, with the numbers of pending and dead deliveries."""
    return webhooks.list(limit, cursor)


@router.get(
    "/{webhook_id}",
    summary="Show a webhook",
    responses=answers(200, WEBHOOK, "The webhook") | problem_responses(404, 422),
)
def get_webhook(webhook_id: WebhookId, webhooks: Webhooks) -> WebhookView:
    """Returns one webhook without its secret."""
    return webhooks.get(webhook_id)


@router.delete(
    "/{webhook_id}",
    status_code=204,
    summary="Delete a webhook",
    responses={204: {"description": "Deleted"}, **problem_responses(404, 422)},
)
def delete_webhook(webhook_id: WebhookId, webhooks: Webhooks) -> None:
    """Deletes the webhook and its delivery log; no more events are sent to it."""
    webhooks.delete(webhook_id)


@router.get(
    "/{webhook_id}/deliveries",
    summary="List a webhook's deliveries",
    responses=answers(200, page_of(DELIVERY), "One page") | problem_responses(404, 422),
)
def list_deliveries(
    webhook_id: WebhookId, webhooks: Webhooks, limit: Limit = 50, cursor: Cursor = None
) -> Page[DeliveryView]:
    """Lists completed, pending and dead deliveries, newest event first. Completed ones stay listed for two weeks."""
    return webhooks.list_deliveries(webhook_id, limit, cursor)


@router.post(
    "/{webhook_id}/deliveries/{event_id}/retry",
    status_code=202,
    summary="Retry a dead delivery",
    responses=answers(202, DELIVERY, "To be sent again") | problem_responses(404, 409, 422),
)
def retry_delivery(webhook_id: WebhookId, event_id: EventId, webhooks: Webhooks) -> DeliveryView:
    """Gives a dead delivery all of its attempts again."""
    return webhooks.retry_delivery(webhook_id, event_id)
