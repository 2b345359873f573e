"""`noisy-student retention`: what goes of artifacts that have served, and what stays."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.retention import PreviewedArtifact

retention = typer.Typer(no_args_is_help=True, help="Look at what retention does, and have it done now.")

OfRun = Annotated[str | None, typer.Option("--run", help="Only this run's.")]


@retention.command("plan")
def plan(
    run_id: OfRun = None,
    limit: Annotated[int, typer.Option(min=1, help="How many runs at most, the newest first.")] = 50,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show what goes and what stays, and why. Nothing is changed."""
    with Client(api) as client:
        found = list(_of_first_runs(client.retention.plan(run_id=run_id), limit))
    if as_json:
        print_json(found)
        return
    table = Table("run", "generation", "stage", "artifact", "", "files", "bytes", "reason", box=None)
    for each in found:
        table.add_row(
            each.run_id,
            str(each.generation),
            each.stage,
            each.artifact,
            "goes" if each.collect else "stays",
            "" if each.files is None else f"{each.files:,}",
            "" if each.bytes is None else f"{each.bytes:,}",
            each.reason,
        )
    Screen().print(table)


@retention.command("apply")
def apply(run_id: OfRun = None, api: ApiAddress = DEFAULT_API) -> None:
    """Collect now what the plan says goes."""
    with Client(api) as client:
        done = client.retention.apply(run_id=run_id)
    say(f"{done.marked} artifact(s) marked; the reconciler deletes them")


def _of_first_runs(artifacts: Iterable[PreviewedArtifact], count: int) -> Iterator[PreviewedArtifact]:
    """They come run by run."""
    seen: set[str] = set()
    for each in artifacts:
        seen.add(each.run_id)
        if len(seen) > count:
            return
        yield each
