"""`noisy-student webhooks`: send events to your own receivers."""

from pathlib import Path
from typing import Annotated

import typer

from noisy_student.cli.bodies import body_of
from noisy_student.cli.options import DEFAULT_API, ApiAddress, IdempotencyKey, Limit, body_option
from noisy_student.cli.output import TABLE, Column, Output, show, show_list, time_of
from noisy_student.cli.terminal import say
from noisy_student.client import Client
from service.views.webhooks import DeliveryView, WebhookView

webhooks = typer.Typer(no_args_is_help=True, help="Send events to your own receivers.")

_COLUMNS: tuple[Column[WebhookView], ...] = (
    Column("id", lambda webhook: webhook.id),
    Column("url", lambda webhook: webhook.url),
    Column("kinds", lambda webhook: ", ".join(webhook.kinds or ["all"])),
    Column("pending", lambda webhook: f"{webhook.pending:,}"),
    Column("dead", lambda webhook: f"{webhook.dead:,}"),
    Column("registered", lambda webhook: time_of(webhook.created_at), is_wide=True),
)
_DELIVERY_COLUMNS: tuple[Column[DeliveryView], ...] = (
    Column("event", lambda delivery: str(delivery.event_id)),
    Column("run", lambda delivery: delivery.run_id or ""),
    Column("kind", lambda delivery: delivery.kind),
    Column("state", lambda delivery: delivery.state),
    Column("attempts", lambda delivery: str(delivery.attempts)),
    Column("last", lambda delivery: time_of(delivery.last_attempt_at) if delivery.last_attempt_at else "", True),
    Column("status", lambda delivery: "" if delivery.last_status is None else str(delivery.last_status)),
    Column("error", lambda delivery: delivery.last_error or ""),
)
WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK")]


@webhooks.command("add")
def add(
    url: Annotated[str | None, typer.Argument(help="The receiver's https:// address.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Send only events of this kind; repeatable.")] = None,
    file: Annotated[Path | None, body_option("The webhook, to which argument and options add")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a webhook, and print once the secret that verifies its signatures."""
    with Client(api) as client:
        webhook = client.webhooks.create(
            body_of(file, {"url": url, "kinds": kind or None}), idempotency_key=idempotency_key
        )
    show(webhook, output, lambda _: say(f"{webhook.id} {webhook.url}\nsecret {webhook.secret}"))


@webhooks.command("list")
def list_webhooks(limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """List webhooks, newest first."""
    with Client(api) as client:
        found = list(client.webhooks.list(limit))
    show_list(found, output, _COLUMNS)


@webhooks.command("delete")
def delete(webhook_id: WebhookId, api: ApiAddress = DEFAULT_API) -> None:
    """Delete a webhook."""
    with Client(api) as client:
        client.webhooks.delete(webhook_id)
    say(f"{webhook_id} deleted")


@webhooks.command("deliveries")
def deliveries(webhook_id: WebhookId, limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Show a webhook's deliveries, newest event first."""
    with Client(api) as client:
        found = list(client.webhooks.deliveries(webhook_id, limit))
    show_list(found, output, _DELIVERY_COLUMNS)


@webhooks.command("retry")
def retry(
    webhook_id: WebhookId,
    event_id: Annotated[int, typer.Argument(metavar="EVENT", min=1)],
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Resend a dead delivery."""
    with Client(api) as client:
        client.webhooks.retry_delivery(webhook_id, event_id)
    say(f"event {event_id} will be resent to {webhook_id}")
