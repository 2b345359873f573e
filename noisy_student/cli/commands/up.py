"""`noisy-student up`: runs the whole stack on this machine until Ctrl-C."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from noisy_student.cli.commands.link import page_address
from noisy_student.cli.extras import require
from noisy_student.cli.terminal import Screen, styled
from noisy_student.client import Client
from noisy_student.errors import ApiError
from service.private_files import PRIVATE_UMASK

_SUPERVISE_EVERY_SECONDS = 1.0


def up(
    home: Annotated[Path, typer.Option(help="Folder for the database, the artifacts and the logs.")] = Path(
        "noisy-student-data"
    ),
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8000,
    num_cpus: Annotated[int | None, typer.Option(help="Number of CPUs that Ray may use; all by default.")] = None,
) -> None:
    """Start Ray, the API and the reconciler on this machine, and keep them running until Ctrl-C."""
    require("all")
    from noisy_student.local.stack import LocalStack, StackError

    os.umask(PRIVATE_UMASK)
    console = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with LocalStack(home, api_port=port, num_cpus=num_cpus, announce=console.print) as stack:
            with Client(stack.api_url, stack.api_key) as client:
                console.print(f"web page       {page_address(client)}", soft_wrap=True)
            console.print(f"REST, OpenAPI  {stack.api_url}/docs")
            console.print(f"Ray dashboard  {stack.api_url}/ray/")
            console.print(f"data and logs  {stack.home}")
            console.print("The first link logs your browser in once; `noisy-student link` prints another.")
            console.print("Ctrl-C stops everything.")
            while True:
                time.sleep(_SUPERVISE_EVERY_SECONDS)
                stack.supervise()
    except KeyboardInterrupt:
        console.print("stopped")
    except (ApiError, StackError) as error:
        console.print(styled(str(error), "red"))
        raise typer.Exit(1) from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
