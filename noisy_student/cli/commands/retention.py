"""`noisy-student retention`: shows and deletes artifacts that are no longer needed."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Column, Output, show, show_list
from noisy_student.cli.terminal import say
from noisy_student.client import Client
from service.views.retention import PreviewedArtifact

retention = typer.Typer(no_args_is_help=True, help="Preview retention, or run it now.")

_COLUMNS: tuple[Column[PreviewedArtifact], ...] = (
    Column("run", lambda artifact: artifact.run_id),
    Column("generation", lambda artifact: str(artifact.generation)),
    Column("stage", lambda artifact: artifact.stage),
    Column("artifact", lambda artifact: artifact.artifact),
    Column("", lambda artifact: "goes" if artifact.collect else "stays"),
    Column("files", lambda artifact: "" if artifact.files is None else f"{artifact.files:,}"),
    Column("bytes", lambda artifact: "" if artifact.bytes is None else f"{artifact.bytes:,}"),
    Column("reason", lambda artifact: artifact.reason),
)
OfRun = Annotated[str | None, typer.Option("--run", help="Only artifacts of this run.")]


@retention.command("plan")
def plan(
    run_id: OfRun = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs, newest first.")] = 50,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show which artifacts would be deleted or kept, and why. Changes nothing."""
    with Client(api) as client:
        found = list(_of_first_runs(client.retention.plan(run_id=run_id), limit))
    show_list(found, output, _COLUMNS)


@retention.command("apply")
def apply(run_id: OfRun = None, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Delete now the artifacts that the plan lists for deletion."""
    with Client(api) as client:
        done = client.retention.apply(run_id=run_id)
    show(done, output, lambda _: say(f"{done.marked} artifact(s) marked; the reconciler deletes them"))


def _of_first_runs(artifacts: Iterable[PreviewedArtifact], count: int) -> Iterator[PreviewedArtifact]:
    """Yields the artifacts of the first `count` runs; they arrive run by run."""
    seen: set[str] = set()
    for each in artifacts:
        seen.add(each.run_id)
        if len(seen) > count:
            return
        yield each
