"""`noisy-student logs` and `runs logs`: print the end of a stage's log, or follow it."""

import json
from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Output, OutputFormat, show
from noisy_student.cli.terminal import say, say_json
from noisy_student.client import Client
from noisy_student.errors import ApiError
from noisy_student.log_following import LogPlace, started_attempts
from service.views.runs import LogTail

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def logs(
    run_id: RunId,
    generation: Annotated[int | None, typer.Option(min=0, help="The current generation by default.")] = None,
    stage: Annotated[str | None, typer.Option(help="The stage by name, such as train; the latest by default.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="The latest attempt by default.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=5000, help="Number of lines from the end.")] = 200,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print further lines, also of later stages, until the run ends.")
    ] = False,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Print the end of a stage's log. With --follow, -o json prints one object per piece of it."""
    wanted = LogPlace(generation, stage, attempt)
    with Client(api) as client:
        if follow:
            _follow(client, run_id, wanted, lines, output)
        else:
            tail = _tail(client, run_id, wanted, lines)
            show(tail, output, lambda _: _print(tail))


def _tail(client: Client, run_id: str, wanted: LogPlace, lines: int) -> LogTail:
    if wanted.generation is not None and wanted.stage is not None:
        return client.stages.logs(run_id, wanted.generation, wanted.stage, wanted.attempt, lines)
    started = list(started_attempts(client.runs.get(run_id), wanted))
    if not started:
        raise ApiError(f"{run_id} has started no such stage yet")
    latest = started[-1]
    return client.stages.logs(run_id, latest.generation, latest.stage, latest.attempt.number, lines)


def _print(tail: LogTail) -> None:
    say(f"{tail.submission_id}:", err=True)
    for line in tail.lines:
        say(line)
    if tail.note:
        say(tail.note, err=True)


def _follow(client: Client, run_id: str, wanted: LogPlace, lines: int, output: OutputFormat) -> None:
    of = None
    for part in client.stages.follow_logs(run_id, *wanted, lines=lines):
        if output.is_for_programs:
            say_json(json.dumps(part._asdict()))
            continue
        if part.submission_id != of:
            of = part.submission_id
            say(f"{of}:", err=True)
        if part.is_after_gap:
            say("(lines are missing here: the log grew faster than it could be read)", err=True)
        for line in part.lines:
            say(line)
