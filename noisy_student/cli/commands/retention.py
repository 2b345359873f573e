"""`noisy-student retention`: shows and deletes artifacts that are no longer needed."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.retention import PreviewedArtifact

retention = typer.Typer(no_args_is_help=True, help="Preview retention, or run it now.")

OfRun = Annotated[str | None, typer.Option("--run", help="Only artifacts of this run.")]


@retention.command("plan")
def plan(
    run_id: OfRun = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs, newest first.")] = 50,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show which artifacts would be deleted or kept, and why. Changes nothing."""
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
    """Delete now the artifacts that the plan lists for deletion."""
    with Client(api) as client:
        done = client.retention.apply(run_id=run_id)
    say(f"{done.marked} artifact(s) marked; the reconciler deletes them")


def _of_first_runs(artifacts: Iterable[PreviewedArtifact], count: int) -> Iterator[PreviewedArtifact]:
    """Yields the artifacts of the first `count` runs; they arrive run by run."""
    seen: set[str] = set()
    for each in artifacts:
        seen.add(each.run_id)
        if len(seen) > count:
            return
        yield each
