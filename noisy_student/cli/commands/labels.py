"""`noisy-student labels`: pseudo labels that are worth a look, what people say about them, and their export."""

from itertools import islice
from pathlib import Path
from typing import Annotated, get_args

import typer

from noisy_student.cli.commands.label_exports import export
from noisy_student.cli.options import DEFAULT_API, ApiAddress, Limit
from noisy_student.cli.output import TABLE, Column, Output, show, show_list, table_of, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.labels.marks import MarkView
from service.views.labels.pages import Opinion, PseudoLabelPage, PseudoLabelView
from workers.specs.review import MarkRequest, ReviewOrder, Verdict

labels = typer.Typer(no_args_is_help=True, help="Look at pseudo labels, say which are true, and take them away.")
labels.command("export")(export)
_PAGE = 100
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Generation = Annotated[int, typer.Argument(metavar="GENERATION", min=1, help="The generation that labeled.")]
Place = Annotated[str, typer.Argument(metavar="SHARD/ROW", help="Where the image is, as `labels list` shows it.")]


@labels.command("list")
def list_labels(
    run_id: RunId,
    generation: Generation,
    order: Annotated[
        ReviewOrder,
        typer.Option(
            help="uncertain: the least confident first. changed: other than in the generation before. disagrees: the "
            "generation's own student says otherwise."
        ),
    ] = "uncertain",
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Only labels of this class.")
    ] = None,
    selected: Annotated[
        bool | None, typer.Option("--selected/--not-selected", help="Only images that the student trains on, or not.")
    ] = None,
    limit: Limit = 24,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List pseudo labels, those first that are most worth a look."""
    with Client(api) as client:
        found: list[PseudoLabelView] = []
        page = client.labels.list(run_id, generation, order, class_name, selected, min(limit, _PAGE))
        while True:
            found += page.items
            if page.next_cursor is None or len(found) >= limit:
                break
            page = client.labels.list(
                run_id, generation, order, class_name, selected, min(limit - len(found), _PAGE), page.next_cursor
            )
    shown = page.model_copy(update={"items": list(islice(found, limit))})
    show(shown, output, lambda screen: _tell(shown, screen, output))


@labels.command("mark")
def mark(
    run_id: RunId,
    generation: Generation,
    place: Place,
    verdict: Annotated[
        str, typer.Argument(metavar="right|wrong|class", help="Whether the label is true, or that another class is.")
    ],
    class_name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The image's class, after the verdict class.")
    ] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Say that a label is right or wrong, or which class the image is of. The run's next selection follows it."""
    shard, row = _place(place)
    if verdict not in get_args(Verdict):
        raise typer.BadParameter(f"the verdict is {', '.join(get_args(Verdict))}, not {verdict!r}")
    body = MarkRequest.model_validate({"verdict": verdict, **({} if class_name is None else {"class": class_name})})
    with Client(api) as client:
        made = client.labels.mark(run_id, generation, shard, row, body)
    show(made, output, lambda _: say(f"{made.key}: {_said(made)}"))


@labels.command("unmark")
def unmark(run_id: RunId, generation: Generation, place: Place, api: ApiAddress = DEFAULT_API) -> None:
    """Take back what was said of an image."""
    shard, row = _place(place)
    with Client(api) as client:
        client.labels.unmark(run_id, generation, shard, row)
    say(f"{place} of generation {generation} is not marked")


@labels.command("marks")
def list_marks(run_id: RunId, limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """List what was said of images of a run, newest first."""
    with Client(api) as client:
        found = list(client.labels.marks(run_id, limit))
    show_list(found, output, _MARK_COLUMNS)


@labels.command("export-marks")
def export_marks(
    run_id: RunId,
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write: .parquet or .csv.")],
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Write the images whose class people have given, as a file to register as a labeled dataset.

    Parquet holds the images; CSV says where they are, if they are files of their own.
    """
    with Client(api) as client:
        client.labels.export_marks(run_id, file)
    say(f"{file}: register it with `noisy-student datasets add {file} --role labeled`")


def _tell(page: PseudoLabelPage, screen: Screen, output: Output) -> None:
    screen.print(table_of(page.items, output, _LABEL_COLUMNS))
    for note in page.notes:
        say(note, err=True)


def _place(text: str) -> tuple[int, int]:
    shard, _, row = text.partition("/")
    if not (shard.isdecimal() and row.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not SHARD/ROW, such as 12/340")
    return int(shard), int(row)


def _opinion(opinion: Opinion | None) -> str:
    return "-" if opinion is None else f"{opinion.label} {opinion.confidence:.1%}"


def _said(mark: MarkView | None) -> str:
    if mark is None:
        return ""
    return f"not {', '.join(mark.classes)}" if mark.verdict == "wrong" else mark.classes[0]


def _selected(label: PseudoLabelView) -> str:
    return "-" if label.copies is None else f"{label.copies} times" if label.selected else "no"


_LABEL_COLUMNS: tuple[Column[PseudoLabelView], ...] = (
    Column("of", lambda label: f"{label.shard}/{label.row}"),
    Column("label", lambda label: label.label),
    Column("confidence", lambda label: f"{label.confidence:.1%}"),
    Column("before", lambda label: _opinion(label.previous)),
    Column("its student", lambda label: _opinion(label.student)),
    Column("selected", _selected),
    Column("marked", lambda label: _said(label.mark)),
    Column("key", lambda label: label.key),
    Column("content hash", lambda label: label.content_hash, is_wide=True),
)
_MARK_COLUMNS: tuple[Column[MarkView], ...] = (
    Column("of", lambda mark: f"{mark.generation} {mark.shard}/{mark.row}"),
    Column("says", _said),
    Column("key", lambda mark: mark.key),
    Column("by", lambda mark: mark.marked_by),
    Column("at", lambda mark: time_of(mark.marked_at)),
    Column("content hash", lambda mark: mark.content_hash, is_wide=True),
)
