"""`noisy-student keys`: make, list and revoke API keys."""

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table
from sqlalchemy.engine import make_url

from api.error_responses import status_of
from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, Limit, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from noisy_student.connection import known_key
from noisy_student.errors import API_KEY_VARIABLE, ApiError
from service.access.audit import AuditedRequest, AuditLog
from service.access.key_commands import KeyCommands
from service.config.access import KeyRequest, Scope
from service.errors import ServiceError
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import upgrade
from service.views.access import KeyView
from service.views.base import View

keys = typer.Typer(
    no_args_is_help=True,
    help=f"Make, list and revoke API keys: over REST with the key in {API_KEY_VARIABLE}, or of the stack that is up "
    "here; without one in the database of this machine's settings, which is how the first key is made.",
)
Answer = TypeVar("Answer", bound=View)


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
    if known_key(api) is not None:
        with Client(api) as client:
            created = client.keys.create(wanted)
    else:
        with _database() as (commands, audited):
            request = KeyRequest.model_validate(wanted, strict=False)
            created = audited("POST", "/keys", 201, lambda user: commands.create_key(request, user))
    if as_json:
        print_json(created)
        return
    say(created.key)
    say(f"{created.id}: keep it, it is not shown again. Use it: export {API_KEY_VARIABLE}=...", err=True)


@keys.command("list")
def list_keys(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List keys, the newest first; never the keys themselves."""
    if known_key(api) is not None:
        with Client(api) as client:
            found = list(client.keys.list(limit))
    else:
        with _database() as (commands, _):
            found = list(commands.list_keys(min(limit, 200)).items)
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
    if known_key(api) is not None:
        with Client(api) as client:
            revoked = client.keys.revoke(key_id, with_made=with_made)
    else:
        with _database() as (commands, audited):
            revoked = audited("DELETE", f"/keys/{key_id}", 200, lambda _: commands.revoke_key(key_id, with_made)[0])
    print_json(revoked) if as_json else say(f"{revoked.id} revoked")


Audited = Callable[[str, str, int, Callable[[str], Answer]], Answer]


@contextmanager
def _database() -> Iterator[tuple[KeyCommands, Audited[Any]]]:
    """The commands on the settings' database, brought up to date; and what puts a change on the audit log."""
    url = Settings().database_url
    say(f"database: {make_url(url).render_as_string(hide_password=True)}", err=True)
    upgrade(url)
    database = Database(url)
    audit, user = AuditLog(database), f"cli:{getpass.getuser()}"

    def audited(method: str, path: str, success: int, change: Callable[[str], Answer]) -> Answer:
        request = AuditedRequest(user, "cli", None, "local", f"cli-{os.getpid()}", method, path)
        entry = audit.begin(request)
        try:
            answer = change(user)
        except ServiceError as error:
            audit.finish(entry, status_of(error))
            raise
        audit.finish(entry, success, f"/keys/{answer.id}" if isinstance(answer, KeyView) else None)
        return answer

    try:
        yield KeyCommands(database), audited
    except ServiceError as error:
        raise ApiError(str(error)) from error
    except ValueError as error:  # pydantic's, of the request
        raise ApiError(str(error)) from error
    finally:
        database.close()


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "good"
    until = key.expires_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return f"expired {until}" if key.expires_at <= datetime.now(UTC) else f"good until {until}"
