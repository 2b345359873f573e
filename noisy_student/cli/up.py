"""`noisy-student up`: the whole stack on this machine, until Ctrl-C."""

import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from noisy_student.cli.terminal import Screen, styled
from noisy_student.local.stack import LocalStack, StackError

_SUPERVISE_EVERY_SECONDS = 1.0


def up(
    home: Annotated[Path, typer.Option(help="Folder of the database, the artifacts and the logs.")] = Path(
        "noisy-student-data"
    ),
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8000,
    num_cpus: Annotated[int | None, typer.Option(help="CPUs that Ray may use; all of them by default.")] = None,
) -> None:
    """Start Ray, the API and the reconciler here, and keep them running until Ctrl-C."""
    console = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with LocalStack(home, api_port=port, num_cpus=num_cpus, announce=console.print) as stack:
            console.print(f"web page       {stack.api_url}/")
            console.print(f"REST, OpenAPI  {stack.api_url}/docs")
            console.print(f"Ray dashboard  {stack.dashboard_url}/")
            console.print(f"data and logs  {stack.home}")
            console.print("Ctrl-C stops everything.")
            while True:
                time.sleep(_SUPERVISE_EVERY_SECONDS)
                stack.supervise()
    except KeyboardInterrupt:
        console.print("stopped")
    except StackError as error:
        console.print(styled(str(error), "red"))
        raise typer.Exit(1) from error


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
