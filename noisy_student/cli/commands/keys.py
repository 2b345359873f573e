"""`noisy-student keys`: create, list and revoke API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisy_student.cli.bodies import body_of
from noisy_student.cli.extras import require
from noisy_student.cli.options import DEFAULT_API, ApiAddress, Limit, body_option
from noisy_student.cli.output import TABLE, Column, Output, show, show_list, time_of
from noisy_student.cli.terminal import say
from noisy_student.client import Client
from noisy_student.connection import known_key
from noisy_student.errors import API_KEY_VARIABLE
from service.config.access import Scope
from service.views.access import CreatedKey, KeyView

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
    name: Annotated[str | None, typer.Option(help="Who or what will use the key.")] = None,
    scope: Annotated[
        Scope | None, typer.Option(help="viewer, operator or admin; each includes the rights of those before it.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Limit the key to this project; all projects by default.")] = None,
    expires_in_days: Annotated[float | None, typer.Option(min=0, help="The key never expires by default.")] = None,
    file: Annotated[Path | None, body_option("The key's name, scope, project and expires_at")] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Create a key and print it once."""
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    given = {
        "name": name,
        "scope": None if scope is None else scope.value,
        "project": project,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    with _keys(api) as keys_there:
        created = keys_there.create({"project": None, **body_of(file, given)})
    show(created, output, lambda _: _tell(created))


@keys.command("list")
def list_keys(limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """List keys, newest first, without the secrets."""
    with _keys(api) as keys_there:
        found = list(keys_there.list(limit))
    show_list(found, output, _COLUMNS)


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    with_made: Annotated[bool, typer.Option("--with-made", help="Also revoke all keys created with it.")] = False,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Revoke a key and every login with it."""
    with _keys(api) as keys_there:
        revoked = keys_there.revoke(key_id, with_made=with_made)
    show(revoked, output, lambda _: say(f"{revoked.id} revoked"))


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


def _tell(created: CreatedKey) -> None:
    say(created.key)
    say(
        f"{created.id}: keep the key, it is not shown again. Use it: noisy-student login URL, "
        f"or export {API_KEY_VARIABLE}=...",
        err=True,
    )


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "good"
    until = key.expires_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return f"expired {until}" if key.expires_at <= datetime.now(UTC) else f"good until {until}"


_COLUMNS: tuple[Column[KeyView], ...] = (
    Column("id", lambda key: key.id),
    Column("name", lambda key: key.name),
    Column("scope", lambda key: key.scope),
    Column("project", lambda key: key.project or "(all)"),
    Column("state", _state),
    Column("created", lambda key: time_of(key.created_at), is_wide=True),
    Column("created by", lambda key: key.created_by, is_wide=True),
)
