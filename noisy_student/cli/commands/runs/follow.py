"""`noisy-student watch`, `logs` and `events`: follow a run while it works."""

from typing import Annotated

import typer

from noisy_student.cli.exit_codes import code_of_state
from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Output, OutputFormat, print_data, show
from noisy_student.cli.terminal import Screen, complain, say, say_json
from noisy_student.client import Client
from noisy_student.errors import ApiError
from service.lifecycle.states import RunState
from service.views.runs import EventView, RunView, StageView

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def watch(run_id: RunId, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Watch a run with live progress until it ends. The exit code says how."""
    with Client(api) as client:
        run = watch_run(client, run_id, Screen(stderr=output.is_for_programs))
    show(run, output, lambda screen: screen.print(result_table(run)))
    end_as(run)


def end_as(run: RunView) -> None:
    """Ends the command with the exit code of the run's final state, and says the reason if it did not succeed."""
    if run.state != RunState.SUCCEEDED:
        complain(f"{run.id} {run.state}: {run.state_reason or 'no reason given'}")
        raise typer.Exit(code_of_state(run.state))


def logs(
    run_id: RunId,
    generation: Annotated[int | None, typer.Option(min=0, help="The current generation by default.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="train, label, select or evaluate; the latest stage by default.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="The latest attempt by default.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=5000, help="Number of lines from the end.")] = 200,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Print the end of a stage's log."""
    with Client(api) as client:
        if generation is None or stage is None:
            latest = _latest_stage(client.runs.get(run_id), generation, stage)
            generation, stage = latest.generation, latest.name
        tail = client.stages.logs(run_id, generation, stage, attempt, lines)
    say(f"{tail.submission_id}:", err=True)
    for line in tail.lines:
        say(line)
    if tail.note:
        say(tail.note, err=True)


def _latest_stage(run: RunView, generation: int | None, stage: str | None) -> StageView:
    """Returns the last started stage that matches the requested generation and name."""
    started = [
        each
        for details in run.generation_details
        for each in details.stages
        if each.attempts and generation in (None, each.generation) and stage in (None, each.name)
    ]
    if not started:
        raise ApiError(f"{run.id} has started no such stage yet")
    return started[-1]


def events(
    run_id: Annotated[str | None, typer.Option("--run", help="Only events of this run.")] = None,
    after: Annotated[
        int | None,
        typer.Option(min=0, help="Start after the event with this id, 0 with the first; new events only by default."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many events; on Ctrl-C by default.")] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Follow the events of all runs or of one. -o json prints one object per line, -o yaml one document per event."""
    with Client(api) as client:
        followed = client.events.follow(after) if run_id is None else client.runs.follow_events(run_id, after)
        for seen, event in enumerate(followed, start=1):
            _print_event(event, output)
            if seen == count:
                return


def _print_event(event: EventView, output: OutputFormat) -> None:
    if output == OutputFormat.JSON:
        say_json(event.model_dump_json())
    elif output == OutputFormat.YAML:
        say("---")
        print_data(event, output)
    else:
        say(_line(event))


def _line(event: EventView) -> str:
    where = [event.run_id, None if event.generation is None else f"g{event.generation}", event.stage]
    place = " ".join(part for part in where if part)
    return f"{event.id} {event.at.astimezone():%H:%M:%S} {place} {event.kind} {event.message}".rstrip()
