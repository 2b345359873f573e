"""`noisy-student events`: every change as it happens."""

from typing import Annotated

import typer

from api.cli.client import Client
from api.cli.options import DEFAULT_API, ApiAddress
from service.views.runs import EventView


def events(
    run_id: Annotated[str | None, typer.Option("--run", help="Only this run's.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin after the event with this id, 0 with the first; by default: now.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many; by default on Ctrl-C.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for programs.")] = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Follow what happens, in all runs or in one."""
    with Client(api) as client:
        for seen, event in enumerate(client.follow_events(run_id, after), start=1):
            typer.echo(event.model_dump_json() if as_json else _line(event))
            if seen == count:
                return


def _line(event: EventView) -> str:
    where = [event.run_id, None if event.generation is None else f"g{event.generation}", event.stage]
    place = " ".join(part for part in where if part)
    return f"{event.id} {event.at.astimezone():%H:%M:%S} {place} {event.kind} {event.message}".rstrip()
