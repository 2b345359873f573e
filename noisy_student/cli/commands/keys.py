"""`noisy-student keys`: make, list and revoke API keys."""

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
    help=f"Make, list and revoke API keys: over REST with the key in {API_KEY_VARIABLE}, or of the stack that is up "
    "here; without one in the database of this machine's settings, which is how the first key is made.",
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who or what will use it.")],
    scope: Annotated[Scope, typer.Option(help="viewer, operator or admin; each may do what the ones before it may.")],
    project: Annotated[str | None, typer.Option(help="What it is limited to; every project by default.")] = None,
    expires_in_days: Annotated[float | None, typer.Option(min=0, help="It stays good by default.")] = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Make a key, and print it: this once."""
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
    say(f"{created.id}: keep it, it is not shown again. Use it: export {API_KEY_VARIABLE}=...", err=True)


@keys.command("list")
def list_keys(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List keys, the newest first; never the keys themselves."""
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
    with_made: Annotated[bool, typer.Option("--with-made", help="And all keys that come of it.")] = False,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Refuse a key, and every login with it, from now on."""
    with _keys(api) as keys_there:
        revoked = keys_there.revoke(key_id, with_made=with_made)
    print_json(revoked) if as_json else say(f"{revoked.id} revoked")


@contextmanager
def _keys(api: str) -> "Iterator[Keys[SyncTransport] | KeyDatabase]":
    """Of the API, or of the database where no key is known that the API could be asked with."""
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
