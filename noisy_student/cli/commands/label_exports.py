"""`noisy-student labels export`: takes the pseudo labels of a generation away."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.extras import require
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.terminal import Screen, complain, say
from noisy_student.client import Client
from noisy_student.errors import ApiError
from workers.specs.label_export import LabelFilter, LabelSource, PictureFormat

_LINKS_PER_CLASS = 100
Format = Literal["parquet", "csv", "webdataset", "huggingface", "folders"]


def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    generation: Annotated[int, typer.Argument(metavar="GENERATION", min=1)],
    place: Annotated[
        Path, typer.Option("--output", "-o", metavar="PLACE", help="The file of a table, the folder of other formats.")
    ],
    kind: Annotated[
        Format,
        typer.Option(
            "--format",
            help="parquet, csv: a table without pictures, by the service. webdataset: tar shards. huggingface: for "
            "datasets.load_dataset. folders: one of links for each class, to look at. Those with pictures are written "
            "by this machine, which must see the pool and the artifact root.",
        ),
    ] = "parquet",
    which: Annotated[
        Literal["selected", "all"],
        typer.Option(help="selected: what the student learns from. all: also the rest, with the reason."),
    ] = "selected",
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Only labels of at least this confidence.")] = 0.0,
    limit_per_class: Annotated[
        int | None,
        typer.Option(min=1, help="Only the most confident of each class. Of formats with pictures; folders: 100."),
    ] = None,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Export the pseudo labels of a generation, with confidence and origin.

    A command that was stopped continues when it is given again.
    """
    if kind == "parquet" or kind == "csv":
        if limit_per_class is not None:
            raise ApiError("--limit-per-class is for formats with pictures; a table has all rows: filter it by itself")
        with Client(api) as client:
            client.labels.export(run_id, generation, place, kind, which=which, min_confidence=min_confidence)
        say(str(place))
        return
    require("worker")
    with Client(api) as client:
        source = client.labels.source(run_id, generation)
    if which == "selected" and source.selection_uri is None:
        raise ApiError(f"generation {generation} of {run_id} has selected nothing yet: wait, or give --which all")
    limit = _LINKS_PER_CLASS if limit_per_class is None and kind == "folders" else limit_per_class
    _write(kind, source, LabelFilter(which=which, min_confidence=min_confidence), limit, place)


def _write(kind: PictureFormat, source: LabelSource, wanted: LabelFilter, limit: int | None, place: Path) -> None:
    from noisy_student.local.label_export import export_labels_here

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Screen(stderr=True)) as progress:
            task = progress.add_task("shards", total=None)
            images = export_labels_here(
                kind,
                source,
                wanted,
                limit,
                place,
                lambda count, total: progress.update(task, completed=count, total=total),
            )
    except KeyboardInterrupt:
        complain(f"stopped; the same command continues from what is in {place}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    say(f"{place}: {images:,} images")
