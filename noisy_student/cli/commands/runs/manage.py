"""`noisy-student runs`: inspect, pause, stop and restart runs."""

from pathlib import Path
from typing import Annotated

import typer

from noisy_student.cli.bodies import read_body
from noisy_student.cli.live_view import job_lines, result_table, run_lines, wait_line
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    CreatedSince,
    IdempotencyKey,
    Limit,
    OfProject,
    States,
    body_option,
)
from noisy_student.cli.output import TABLE, Column, Output, OutputFormat, show, show_list, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.runs import RunSummary, RunView

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def list_runs(
    limit: Limit = 50,
    states: States = None,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List runs, newest first."""
    with Client(api) as client:
        found = list(client.runs.list(limit, state=states, project=project, since=since))
    show_list(found, output, _COLUMNS)


def _waits_for(run: RunSummary) -> str:
    if run.waiting:
        return wait_line(run.waiting)
    return f"place {run.queue.position} in the queue: {run.queue.reason}" if run.queue else ""


def show_run(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Show a run's current stages and its results so far."""
    with Client(api) as client:
        run = client.runs.get(run_id)
    show(run, output, lambda screen: _show_run(run, screen, api))


def _show_run(run: RunView, screen: Screen, api: str) -> None:
    screen.print(run_lines(run))
    for line in job_lines(run, api):
        screen.print(line, soft_wrap=True)
    screen.print(result_table(run))


def pause(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Pause a run at the end of its stage's current unit, and keep finished work."""
    with Client(api) as client:
        tell("asked to pause", client.runs.pause(run_id), output, api)


def resume(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Resume a paused run."""
    with Client(api) as client:
        tell("resumed", client.runs.resume(run_id), output, api)


def priority(
    run_id: RunId,
    value: Annotated[
        int, typer.Argument(metavar="PRIORITY", min=-100, max=100, help="Each step is worth one hour of waiting.")
    ],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Set a run's priority in the queue. Write a negative one after --: runs priority RUN -- -5."""
    with Client(api) as client:
        tell(f"has priority {value}", client.runs.change(run_id, {"priority": value}), output, api)


def cancel(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Stop a run and its Ray job."""
    with Client(api) as client:
        tell("asked to stop", client.runs.cancel(run_id), output, api)


def retry(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Continue a failed or cancelled run from the stage where it stopped."""
    with Client(api) as client:
        tell("retried", client.runs.retry(run_id), output, api)


def add_generation(
    run_id: RunId,
    file: Annotated[Path | None, body_option("Settings that differ from the run's, none by default")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Add one generation to a finished run and start it."""
    overrides = read_body(file) if file else {}
    with Client(api) as client:
        run = client.runs.add_generation(run_id, overrides, idempotency_key=idempotency_key)
    tell("one more generation", run, output, api)


def tell(what: str, run: RunView, output: OutputFormat, api: str) -> None:
    """Prints the run, and for people what was done with it and how to follow it."""
    show(run, output, lambda _: _say_what_was_done(what, run, api))


def _say_what_was_done(what: str, run: RunView, api: str) -> None:
    say(f"{run.id} {what} ({run.state})")
    for warning in run.warnings:
        say(f"warning: {warning}", err=True)
    say(f"noisy-student watch {run.id}    or {api.rstrip('/')}/ui/runs/{run.id}", err=True)


_COLUMNS: tuple[Column[RunSummary], ...] = (
    Column("id", lambda run: run.id),
    Column("name", lambda run: run.name),
    Column("project", lambda run: run.project, is_wide=True),
    Column("priority", lambda run: str(run.priority), is_wide=True),
    Column("state", lambda run: run.state),
    Column("generations", lambda run: str(run.generations)),
    Column("started", lambda run: time_of(run.created_at)),
    Column("ended", lambda run: time_of(run.finished_at) if run.finished_at else "", is_wide=True),
    Column("waits for", _waits_for),
    Column("reason", lambda run: run.state_reason or "", is_wide=True),
)
