"""Options that many commands share."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from noisy_student import connection
from noisy_student.cli.times import as_option, moment_of

DEFAULT_API = connection.DEFAULT_API


def _address(context: typer.Context, address: str) -> str:
    """The address, which is the profile's if neither the command line nor the environment gives one."""
    source = context.get_parameter_source("api")
    if source is None or source.name not in ("DEFAULT", "DEFAULT_MAP"):
        return address
    return connection.address_of_profile()


ApiAddress = Annotated[
    str,
    typer.Option(
        "--api", envvar=connection.API_VARIABLE, callback=_address, help="The API's address; the profile's by default."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows, newest first.")]
States = Annotated[
    list[str] | None, typer.Option("--state", help="Only those in this state, such as failed; repeatable.")
]
OfProject = Annotated[str | None, typer.Option("--project", help="Only those of this project.")]
CreatedSince = Annotated[
    datetime | None,
    typer.Option(
        "--since", metavar="TIME", parser=as_option(moment_of), help="Only those since then: 2d, or 2026-11-28T09:00."
    ),
]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", help="Carry out a request repeated with this key only once.")
]


def body_option(what: str) -> OptionInfo:
    """The option `-f` of a command that sends a body. `what` begins its help, such as "The search"."""
    option: OptionInfo = typer.Option(
        "--file", "-f", metavar="FILE", help=f"{what}, as YAML or JSON; - reads standard input."
    )
    return option


def absolute_path(path: str) -> str:
    """Returns `path` as an absolute path, because the API may run in another folder and rejects `..`."""
    absolute = Path(path).expanduser().absolute()
    # If a link precedes `..`, only the file system knows the target.
    return str(absolute.resolve() if ".." in absolute.parts else absolute)
