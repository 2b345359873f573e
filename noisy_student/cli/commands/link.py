"""`noisy-student link`: opens the web page without showing the key."""

from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.terminal import say
from noisy_student.client import Client


def link(
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The run whose page to open; the list of runs by default.")
    ] = None,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Print an address that logs a browser in to the web page. It works once within a quarter of an hour."""
    with Client(api) as client:
        say(page_address(client, "/" if run_id is None else f"/ui/runs/{run_id}"))


def page_address(client: Client, page: str = "/") -> str:
    """Returns a single-use, short-lived address that opens the web page as this caller."""
    return client.api + client.service.link(page).path
