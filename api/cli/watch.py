"""`noisy-student watch` and `noisy-student logs`: a run while it works."""

from typing import Annotated

import typer
from rich.console import Console

from api.cli.client import ApiError, Client
from api.cli.live_view import result_table, watch_run
from api.cli.options import DEFAULT_API, ApiAddress
from service.lifecycle.states import RunState
from service.views.runs import RunView, StageView

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def watch(run_id: RunId, api: ApiAddress = DEFAULT_API) -> None:
    """Watch a run until it ends, with live progress; exit code 1 where it does not succeed."""
    console = Console()
    with Client(api) as client:
        run = watch_run(client, run_id, console)
    console.print(result_table(run))
    if run.state != RunState.SUCCEEDED:
        console.print(f"{run.id} {run.state}: {run.state_reason or 'no reason given'}", markup=False)
        raise typer.Exit(1)


def logs(
    run_id: RunId,
    generation: Annotated[int | None, typer.Option(min=0, help="The one under way by default.")] = None,
    stage: Annotated[str | None, typer.Option(help="train, label, select or evaluate; the latest by default.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="The latest by default.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=5000, help="How many lines from the end.")] = 200,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Print the end of a stage's log."""
    with Client(api) as client:
        if generation is None or stage is None:
            latest = _latest_stage(client.get_run(run_id), generation, stage)
            generation, stage = latest.generation, latest.name
        tail = client.log_tail(run_id, generation, stage, attempt, lines)
    typer.echo(f"{tail.submission_id}:", err=True)
    for line in tail.lines:
        typer.echo(line)
    if tail.note:
        typer.echo(tail.note, err=True)


def _latest_stage(run: RunView, generation: int | None, stage: str | None) -> StageView:
    """The last stage that was ever started, of the generation and the name that were asked for."""
    started = [
        each
        for details in run.generation_details
        for each in details.stages
        if each.attempts and generation in (None, each.generation) and stage in (None, each.name)
    ]
    if not started:
        raise ApiError(f"{run.id} has started no such stage yet")
    return started[-1]
