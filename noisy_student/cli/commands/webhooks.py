"""`noisy-student webhooks`: send events to receivers of your own."""

from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, IdempotencyKey, Limit, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client

webhooks = typer.Typer(no_args_is_help=True, help="Send events to receivers of your own.")

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK")]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="https://... of the receiver.")],
    kind: Annotated[list[str] | None, typer.Option(help="Only events of this kind; may be repeated.")] = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a webhook, and print the secret that its signatures are checked with: it is shown this once."""
    with Client(api) as client:
        webhook = client.webhooks.create({"url": url, "kinds": kind or None}, idempotency_key=idempotency_key)
    if as_json:
        print_json(webhook)
        return
    say(f"{webhook.id} {webhook.url}")
    say(f"secret {webhook.secret}")


@webhooks.command("list")
def list_webhooks(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List webhooks, the newest first."""
    with Client(api) as client:
        found = list(client.webhooks.list(limit))
    if as_json:
        print_json(found)
        return
    table = Table("id", "url", "kinds", "pending", "dead", box=None, header_style="bold")
    for each in found:
        table.add_row(each.id, each.url, ", ".join(each.kinds or ["all"]), f"{each.pending:,}", f"{each.dead:,}")
    Screen().print(table)


@webhooks.command("delete")
def delete(webhook_id: WebhookId, api: ApiAddress = DEFAULT_API) -> None:
    """Send nothing more to a webhook, and forget it."""
    with Client(api) as client:
        client.webhooks.delete(webhook_id)
    say(f"{webhook_id} deleted")


@webhooks.command("deliveries")
def deliveries(
    webhook_id: WebhookId, limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API
) -> None:
    """Show what was sent to a webhook, the newest event first."""
    with Client(api) as client:
        found = list(client.webhooks.deliveries(webhook_id, limit))
    if as_json:
        print_json(found)
        return
    table = Table("event", "run", "kind", "state", "attempts", "status", "error", box=None, header_style="bold")
    for each in found:
        table.add_row(
            str(each.event_id),
            each.run_id or "",
            each.kind,
            each.state,
            str(each.attempts),
            "" if each.last_status is None else str(each.last_status),
            each.last_error or "",
        )
    Screen().print(table)


@webhooks.command("retry")
def retry(
    webhook_id: WebhookId,
    event_id: Annotated[int, typer.Argument(metavar="EVENT", min=1)],
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Send an event again that was given up."""
    with Client(api) as client:
        client.webhooks.retry_delivery(webhook_id, event_id)
    say(f"event {event_id} will be sent to {webhook_id} again")
