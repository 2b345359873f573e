"""`noisy-student webhooks`: send events to your own receivers."""

from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, IdempotencyKey, Limit, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client

webhooks = typer.Typer(no_args_is_help=True, help="Send events to your own receivers.")

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK")]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="The receiver's https:// address.")],
    kind: Annotated[list[str] | None, typer.Option(help="Send only events of this kind; repeatable.")] = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a webhook, and print once the secret that verifies its signatures."""
    with Client(api) as client:
        webhook = client.webhooks.create({"url": url, "kinds": kind or None}, idempotency_key=idempotency_key)
    if as_json:
        print_json(webhook)
        return
    say(f"{webhook.id} {webhook.url}")
    say(f"secret {webhook.secret}")


@webhooks.command("list")
def list_webhooks(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List webhooks, newest first."""
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
    """Delete a webhook."""
    with Client(api) as client:
        client.webhooks.delete(webhook_id)
    say(f"{webhook_id} deleted")


@webhooks.command("deliveries")
def deliveries(
    webhook_id: WebhookId, limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API
) -> None:
    """Show a webhook's deliveries, newest event first."""
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
    """Resend a dead delivery."""
    with Client(api) as client:
        client.webhooks.retry_delivery(webhook_id, event_id)
    say(f"event {event_id} will be resent to {webhook_id}")
