"""`noisy-student predict`: what a model says about pictures; `noisy-student predictions`: shows and downloads more."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from noisy_student.cli.exit_codes import ExitCode, code_of_state
from noisy_student.cli.extras import require
from noisy_student.cli.live_view import watch_run
from noisy_student.cli.options import DEFAULT_API, ApiAddress, CreatedSince, Limit, OfProject, States
from noisy_student.cli.output import TABLE, Column, Output, Report, show, show_list, time_of
from noisy_student.cli.terminal import Screen, complain, say
from noisy_student.client import Client
from noisy_student.errors import ApiError
from service.config.predictions import PredictionRequest
from service.views.studies import PredictionSummary, PredictionView
from workers.specs.prediction import PredictionOutcome

if TYPE_CHECKING:
    from noisy_student.local.folder_prediction import LocalPrediction

predictions = typer.Typer(no_args_is_help=True, help="Show and download predictions of the service.")
_OVER = ("failed", "cancelled")


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's id, or the folder of a pulled one.")],
    pictures: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A registered dataset's id; the service predicts it. Or a folder, a file or an object store's URI; "
            "this machine predicts it, without the service if MODEL is a folder.",
        ),
    ],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to keep of each picture.")] = 5,
    all_classes: Annotated[bool, typer.Option("--all-classes", help="Keep the probabilities of all classes.")] = False,
    kind: Annotated[
        Literal["parquet", "csv"] | None, typer.Option("--format", help="By default what FILE's name says, or parquet.")
    ] = None,
    with_labels: Annotated[
        bool, typer.Option("--with-labels", help="A place on this machine has labels: compare with them.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures per forward pass.")] = 64,
    report: Report = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Write what a model says about pictures: one row for each, with label, confidence and best classes.

    A command that was stopped continues when it is given again.
    """
    chosen: Literal["parquet", "csv"] = kind or ("csv" if file.suffix.lower() == ".csv" else "parquet")
    kept = None if all_classes else top_k
    if "://" in pictures or Path(pictures).exists():
        outcome = _predict_here(model, pictures, file, chosen, kept, with_labels, batch_size, api)
    elif Path(model).is_dir():
        raise ApiError(f"{pictures} is not there: a model's folder predicts a folder or a file of pictures")
    else:
        outcome = _predict_by_service(model, pictures, file, chosen, kept, batch_size, api)
    show(outcome, report, lambda _: say(f"{file}: {_in_words(outcome)}"))


@predictions.command("list")
def list_predictions(
    limit: Limit = 50,
    states: States = None,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List predictions, newest first."""
    with Client(api) as client:
        found = list(client.predictions.list(limit, state=states, project=project, since=since))
    show_list(found, output, _COLUMNS)


@predictions.command("show")
def show_prediction(
    prediction_id: Annotated[str, typer.Argument(metavar="PREDICTION")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a prediction: its progress, and its outcome once it has succeeded."""
    with Client(api) as client:
        found = client.predictions.get(prediction_id)
    show(found, output, lambda screen: screen.print(_details(found)))


def _details(found: PredictionView) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("id", found.id)
    table.add_row("name", found.name)
    table.add_row("state", f"{found.state}: {found.state_reason}" if found.state_reason else found.state)
    if found.progress is not None:
        table.add_row("progress", f"{found.progress.done:,} of {found.progress.total:,} {found.progress.unit}")
    if found.outcome is not None:
        table.add_row("outcome", _in_words(found.outcome))
    table.add_row("files", found.folder_uri)
    return table


@predictions.command("download")
def download(
    prediction_id: Annotated[str, typer.Argument(metavar="PREDICTION")],
    file: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="FILE.parquet, FILE.csv, or FILE.zip with the parts.")
    ],
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Download a finished prediction. The file appears when it is complete."""
    with Client(api) as client:
        say(str(client.predictions.download(prediction_id, file)))


def _predict_here(
    model: str,
    pictures: str,
    file: Path,
    kind: Literal["parquet", "csv"],
    top_k: int | None,
    with_labels: bool,
    batch_size: int,
    api: str,
) -> PredictionOutcome:
    require("worker")
    from noisy_student.local.folder_prediction import LocalPrediction, parts_beside

    folder = Path(model)
    if not folder.is_dir():
        folder = parts_beside(file) / folder.name
        if not folder.is_dir():
            with Client(api) as client:
                client.models.pull(model, folder)
    return _shown_while_it_runs(LocalPrediction(folder, pictures, file, kind, top_k, with_labels, batch_size))


def _shown_while_it_runs(asked: "LocalPrediction") -> PredictionOutcome:
    from noisy_student.local.folder_prediction import predict_locally

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Screen(stderr=True)) as progress:
            task = progress.add_task("pictures", total=None)
            return predict_locally(asked, lambda done, total: progress.update(task, completed=done, total=total))
    except KeyboardInterrupt:
        complain(f"stopped; the same command continues from what is finished, in {asked.parts}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _predict_by_service(
    model: str, dataset: str, file: Path, kind: Literal["parquet", "csv"], top_k: int | None, batch_size: int, api: str
) -> PredictionOutcome:
    """Has the service predict, and downloads the table. The same request again is the same prediction: nothing of it
    changes, so what a stopped command has started is waited for."""
    request = PredictionRequest(model=model, dataset=dataset, top_k=top_k, batch_size=batch_size)
    key = f"predict-{hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:32]}"
    with Client(api) as client:
        found = client.predictions.get(client.predictions.create(request, idempotency_key=key).id)
        if found.state in _OVER:
            found = client.predictions.create(request)
        watch_run(client, found.id, Screen(stderr=True))
        found = client.predictions.get(found.id)
        if found.outcome is None:
            complain(f"{found.id} has {found.state}: {found.state_reason or 'no reason given'}")
            raise typer.Exit(code_of_state(found.state))
        client.predictions.download(found.id, file, kind)
    return found.outcome


def _in_words(outcome: PredictionOutcome) -> str:
    parts = [f"{outcome.images:,} images", f"mean confidence {outcome.mean_confidence:.1%}"]
    if outcome.bad_images:
        parts.append(f"{outcome.bad_images:,} broken")
    if outcome.top1 is not None and outcome.truth is not None:
        parts.append(f"{outcome.top1:.2%} of {outcome.truth.images:,} labels right")
    if outcome.images_per_second:
        parts.append(f"{outcome.images_per_second:,.0f} images/s")
    return ", ".join(parts)


_COLUMNS: tuple[Column[PredictionSummary], ...] = (
    Column("id", lambda each: each.id),
    Column("model", lambda each: "-" if each.settings is None else each.settings.model),
    Column("dataset", lambda each: "-" if each.settings is None else each.settings.dataset),
    Column("state", lambda each: each.state),
    Column("name", lambda each: each.name, is_wide=True),
    Column("project", lambda each: each.project, is_wide=True),
    Column("started", lambda each: time_of(each.created_at), is_wide=True),
)
