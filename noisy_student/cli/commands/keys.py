"""`noisy-student keys`: create, list and revoke API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from noisy_student.cli.extras import require
from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, Limit, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from noisy_student.connection import known_key
from noisy_student.errors import API_KEY_VARIABLE
from service.config.access import Scope
from service.views.access import KeyView

if TYPE_CHECKING:
    from noisy_student.local.key_database import KeyDatabase
    from noisy_student.resources.access import Keys
    from noisy_student.transport import SyncTransport

keys = typer.Typer(
    no_args_is_help=True,
    help=f"Create, list and revoke API keys over REST, with the key in {API_KEY_VARIABLE} or that of the local stack. "
    "Without a key, the command uses the database of this machine's settings; this is how you create the first key.",
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who or what will use the key.")],
    scope: Annotated[
        Scope, typer.Option(help="viewer, operator or admin; each includes the rights of those before it.")
    ],
    project: Annotated[str | None, typer.Option(help="Limit the key to this project; all projects by default.")] = None,
    expires_in_days: Annotated[float | None, typer.Option(min=0, help="The key never expires by default.")] = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Create a key and print it once."""
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    wanted = {
        "name": name,
        "scope": scope.value,
        "project": project,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    with _keys(api) as keys_there:
        created = keys_there.create(wanted)
    if as_json:
        print_json(created)
        return
    say(created.key)
    say(f"{created.id}: keep the key, it is not shown again. Use it: export {API_KEY_VARIABLE}=...", err=True)


@keys.command("list")
def list_keys(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List keys, newest first, without the secrets."""
    with _keys(api) as keys_there:
        found = list(keys_there.list(limit))
    if as_json:
        print_json(found)
        return
    table = Table("id", "name", "scope", "project", "state", box=None, header_style="bold")
    for key in found:
        table.add_row(key.id, key.name, key.scope, key.project or "(all)", _state(key))
    Screen().print(table)


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    with_made: Annotated[bool, typer.Option("--with-made", help="Also revoke all keys created with it.")] = False,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Revoke a key and every login with it."""
    with _keys(api) as keys_there:
        revoked = keys_there.revoke(key_id, with_made=with_made)
    print_json(revoked) if as_json else say(f"{revoked.id} revoked")


@contextmanager
def _keys(api: str) -> "Iterator[Keys[SyncTransport] | KeyDatabase]":
    """Yields the API's keys, or the database's if no key for the API is known."""
    if known_key(api) is not None:
        with Client(api) as client:
            yield client.keys
        return
    require("server")
    from noisy_student.local.key_database import KeyDatabase

    with KeyDatabase() as database:
        say(f"database: {database.address}", err=True)
        yield database


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "good"
    until = key.expires_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return f"expired {until}" if key.expires_at <= datetime.now(UTC) else f"good until {until}"
