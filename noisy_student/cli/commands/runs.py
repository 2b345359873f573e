"""`noisy-student runs`: start, inspect, pause, stop and restart runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.bodies import read_body
from noisy_student.cli.live_view import job_lines, result_table, run_lines, wait_line
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    AsJson,
    IdempotencyKey,
    Limit,
    print_json,
)
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.runs import RunSummary, RunView

runs = typer.Typer(no_args_is_help=True, help="Start, inspect, pause, stop and restart runs.")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


@runs.command("create")
def create(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The run's configuration as JSON or .yaml; - reads standard input."),
    ],
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start a run."""
    config = read_body(file)
    with Client(api) as client:
        _tell("started", client.runs.create(config, idempotency_key=idempotency_key), as_json, api)


@runs.command("list")
def list_runs(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List runs, newest first."""
    with Client(api) as client:
        found = list(client.runs.list(limit))
    if as_json:
        print_json(found)
        return
    table = Table("id", "name", "state", "generations", "started", "waits for", box=None, header_style="bold")
    for run in found:
        started = run.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(run.id, run.name, run.state, str(run.generations), started, _waits_for(run))
    Screen().print(table)


def _waits_for(run: RunSummary) -> str:
    if run.waiting:
        return wait_line(run.waiting)
    return f"place {run.queue.position} in the queue: {run.queue.reason}" if run.queue else ""


@runs.command("show")
def show(run_id: RunId, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Show a run's current stages and its results so far."""
    with Client(api) as client:
        run = client.runs.get(run_id)
    if as_json:
        print_json(run)
        return
    console = Screen()
    console.print(run_lines(run))
    for line in job_lines(run, api):
        console.print(line, soft_wrap=True)
    console.print(result_table(run))


@runs.command("pause")
def pause(run_id: RunId, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Pause a run at the end of its stage's current unit, and keep finished work."""
    with Client(api) as client:
        _tell("asked to pause", client.runs.pause(run_id), as_json, api)


@runs.command("resume")
def resume(run_id: RunId, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Resume a paused run."""
    with Client(api) as client:
        _tell("resumed", client.runs.resume(run_id), as_json, api)


@runs.command("priority")
def priority(
    run_id: RunId,
    value: Annotated[
        int, typer.Argument(metavar="PRIORITY", min=-100, max=100, help="Each step is worth one hour of waiting.")
    ],
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Set a run's priority in the queue. Write a negative one after --: runs priority RUN -- -5."""
    with Client(api) as client:
        _tell(f"has priority {value}", client.runs.change(run_id, {"priority": value}), as_json, api)


@runs.command("cancel")
def cancel(run_id: RunId, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Stop a run and its Ray job."""
    with Client(api) as client:
        _tell("asked to stop", client.runs.cancel(run_id), as_json, api)


@runs.command("retry")
def retry(run_id: RunId, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Continue a failed or cancelled run from the stage where it stopped."""
    with Client(api) as client:
        _tell("retried", client.runs.retry(run_id), as_json, api)


@runs.command("add-generation")
def add_generation(
    run_id: RunId,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="JSON or YAML with settings that differ from the run's; none by default."),
    ] = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Add one generation to a finished run and start it."""
    overrides = read_body(file) if file else {}
    with Client(api) as client:
        run = client.runs.add_generation(run_id, overrides, idempotency_key=idempotency_key)
    _tell("one more generation", run, as_json, api)


def _tell(what: str, run: RunView, as_json: bool, api: str) -> None:
    if as_json:
        print_json(run)
        return
    say(f"{run.id} {what} ({run.state})")
    for warning in run.warnings:
        say(f"warning: {warning}", err=True)
    say(f"noisy-student watch {run.id}    or {api.rstrip('/')}/ui/runs/{run.id}", err=True)
