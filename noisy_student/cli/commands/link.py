"""`noisy-student link`: opens the web page without showing anybody the key."""

from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.terminal import say
from noisy_student.client import Client


def link(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Whose page; the list of runs by default.")
    ] = None,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Print an address that logs a browser in to the web page: once, within a quarter of an hour."""
    with Client(api) as client:
        say(page_address(client, "/" if run_id is None else f"/ui/runs/{run_id}"))


def page_address(client: Client, page: str = "/") -> str:
    """An address that opens the web page as this caller: once, and soon."""
    return client.api + client.service.link(page).path
