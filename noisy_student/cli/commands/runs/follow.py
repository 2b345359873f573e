"""`noisy-student watch`, `events` and `runs wait`: follow a run while it works."""

from typing import Annotated

import typer

from noisy_student.cli.exit_codes import ExitCode, code_of_state
from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Output, OutputFormat, print_data, show
from noisy_student.cli.terminal import Screen, complain, say, say_json
from noisy_student.cli.times import as_option, seconds_of
from noisy_student.client import Client
from noisy_student.waiting import Until
from service.lifecycle.states import GenerationState, RunState
from service.views.runs import EventView, RunView

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


def wait(
    run_id: RunId,
    until: Annotated[
        str | None,
        typer.Option("--for", metavar="WHAT", help="A state such as paused, or generation=2; its end by default."),
    ] = None,
    timeout_seconds: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="DURATION", parser=as_option(seconds_of), help="Such as 30m or 2h; none by default."
        ),
    ] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Wait for a run, silently. The exit code says how it ended, or that the time is over."""
    reached = None if until is None else condition(until)
    with Client(api) as client:
        run = client.runs.wait(run_id, until=reached, timeout_seconds=timeout_seconds)
    show(run, output, lambda _: say(f"{run.id} {run.state}"))
    if reached is None or not reached(run):
        end_as(run)
        if reached is not None:
            complain(f"{run.id} has ended without {until}")
            raise typer.Exit(ExitCode.ERROR)


def condition(written: str) -> Until:
    """What `--for` waits for. Raises BadParameter."""
    name, _, value = written.partition("=")
    if name == "generation" and value.isdecimal():
        return lambda run: any(
            each.number == int(value) and each.state == GenerationState.SUCCEEDED for each in run.generation_details
        )
    states = [state.value for state in RunState]
    if written not in states:
        raise typer.BadParameter(f"{written!r} is neither generation=NUMBER nor a state: {', '.join(states)}")
    return lambda run: run.state == written


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
