"""`noisy-student datasets`: register and inspect image datasets."""

import shlex
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.table import Table

from noisy_student.cli.bodies import body_of
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    CreatedSince,
    IdempotencyKey,
    Limit,
    OfProject,
    absolute_path,
    body_option,
)
from noisy_student.cli.output import TABLE, Column, Output, show, show_list, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.config.datasets import DatasetRequest, RequestedFormat
from service.views.datasets import DatasetView
from service.views.looks import DatasetLook

_CLASSES_SHOWN = 20
_TABLE_FIELDS = ("base_uri", "image_column", "label_column", "key_column")

datasets = typer.Typer(no_args_is_help=True, help="Register and inspect image datasets.")
_COLUMNS: tuple[Column[DatasetView], ...] = (
    Column("id", lambda dataset: dataset.id),
    Column("name", lambda dataset: dataset.name),
    Column("project", lambda dataset: dataset.project, is_wide=True),
    Column("role", lambda dataset: dataset.role),
    Column("format", lambda dataset: dataset.format),
    Column("images", lambda dataset: f"{dataset.rows:,}"),
    Column("classes", lambda dataset: str(len(dataset.classes) or "")),
    Column("shards", lambda dataset: f"{dataset.shards:,}", is_wide=True),
    Column("registered", lambda dataset: time_of(dataset.created_at), is_wide=True),
    Column("where", lambda dataset: dataset.uri, is_wide=True),
)
_VERSION_COLUMNS: tuple[Column[DatasetView], ...] = (
    Column("version", lambda dataset: str(dataset.version)),
    Column("id", lambda dataset: dataset.id),
    Column("images", lambda dataset: f"{dataset.rows:,}"),
    Column("shards", lambda dataset: f"{dataset.shards:,}"),
    Column("registered", lambda dataset: time_of(dataset.created_at), is_wide=True),
    Column("where", lambda dataset: dataset.uri),
)


@datasets.command("add")
def add(
    uri: Annotated[
        str | None, typer.Argument(help="Path or URI (s3://...) of a folder, a Parquet or tar file, or a list.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="labeled, unlabeled or evaluation.")] = None,
    name: Annotated[str | None, typer.Option(help="Display name; the last part of the URI by default.")] = None,
    format: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(get_args(RequestedFormat))}; detected by default."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this split of a folder that holds several: train, val, test.")
    ] = None,
    class_level: Annotated[
        int | None, typer.Option(help="The folder that names the class: 1 the highest, -1 the image's own.")
    ] = None,
    base_uri: Annotated[
        str | None, typer.Option(help="Where relative paths of a list begin; the folder of an export's images.")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="Image column (Parquet, URI lists).")] = None,
    label_column: Annotated[str | None, typer.Option(help="Label column (Parquet, URI lists).")] = None,
    key_column: Annotated[str | None, typer.Option(help="Key column (Parquet, URI lists).")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names in index order, separated by commas.")] = None,
    file: Annotated[Path | None, body_option("The registration, to which arguments and options add")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a dataset. Nothing is copied, so the files must not change."""
    given = {
        "name": name,
        "role": role,
        "uri": uri,
        "format": format,
        "split": split,
        "class_level": class_level,
        "base_uri": base_uri if base_uri is None or "://" in base_uri else absolute_path(base_uri),
        "image_column": image_column,
        "label_column": label_column,
        "key_column": key_column,
        "classes": [part.strip() for part in classes.split(",")] if classes else None,
    }
    request = body_of(file, given)
    if isinstance(place := request.get("uri"), str):
        request["uri"] = place if "://" in place else absolute_path(place)
        request.setdefault("name", _last_part(request["uri"]))
    with Client(api) as client:
        dataset = client.datasets.create(request, idempotency_key=idempotency_key)
    show(dataset, output, lambda screen: screen.print(_details(dataset)))


@datasets.command("look")
def look(
    uri: Annotated[str, typer.Argument(help="Path or URI (s3://...) of a folder or file.")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Say what a place is taken for, and how to register it. Records nothing."""
    with Client(api) as client:
        found = client.datasets.look({"uri": uri if "://" in uri else absolute_path(uri)})
    show(found, output, lambda screen: _show_look(found, screen))


def _show_look(found: DatasetLook, screen: Screen) -> None:
    screen.print(_seen(found))
    for request in found.requests:
        say(_command(request))


@datasets.command("list")
def list_datasets(
    limit: Limit = 50,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List datasets, newest first."""
    with Client(api) as client:
        found = list(client.datasets.list(limit, project=project, since=since))
    show_list(found, output, _COLUMNS)


@datasets.command("show")
def show_dataset(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a dataset."""
    with Client(api) as client:
        dataset = client.datasets.get(dataset_id)
    show(dataset, output, lambda screen: screen.print(_details(dataset)))


@datasets.command("grow")
def grow(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET")],
    uri: Annotated[
        str, typer.Argument(help="Where the new files are; by default, what is new at the dataset's own place.")
    ] = "",
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Add files to a dataset, as a new version. The dataset itself, and the runs that read it, stay as they are."""
    place = uri if "://" in uri or not uri else absolute_path(uri)
    with Client(api) as client:
        dataset = client.datasets.add_version(
            dataset_id, {"uri": place} if place else {}, idempotency_key=idempotency_key
        )
    show(dataset, output, lambda screen: screen.print(_details(dataset)))


@datasets.command("versions")
def versions(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET")],
    limit: Limit = 50,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List all versions of a dataset, newest first."""
    with Client(api) as client:
        found = list(client.datasets.versions(dataset_id, limit))
    show_list(found, output, _VERSION_COLUMNS)


def _seen(found: DatasetLook) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("where", found.uri)
    table.add_row("taken for", found.taken_for + (f" ({found.format})" if found.format else ""))
    table.add_row("files", f"{'' if found.files_are_all else 'at least '}{found.files:,}")
    for part, request in zip(found.parts, found.requests, strict=True):
        count = "" if part.images is None else f"{'' if part.images_are_all else 'at least '}{part.images:,} images, "
        table.add_row(part.split or "all", f"{count}{part.classes} classes: {request.role}")
    if found.classes:
        more = ", ..." if found.class_count > _CLASSES_SHOWN else ""
        table.add_row("classes", f"{found.class_count:,}: {', '.join(found.classes[:_CLASSES_SHOWN])}{more}")
        table.add_row("taken from", found.classes_from)
    if found.columns:
        table.add_row("columns", ", ".join(f"{column.name} ({column.type})" for column in found.columns))
    for warning in found.warnings:
        table.add_row("warning", warning)
    return table


def _command(request: DatasetRequest) -> str:
    """Returns the command that registers what the request does."""
    if any("," in name or name != name.strip() for name in request.classes or ()):
        return f"echo {shlex.quote(request.model_dump_json(exclude_none=True))} | noisy-student datasets add -f -"
    options = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name in ("role", "name", "format", "split", "class_level", *_TABLE_FIELDS)
        if (value := getattr(request, name)) is not None
    ]
    if request.classes is not None:
        options.append(f"--classes {shlex.quote(','.join(request.classes))}")
    return " ".join(["noisy-student datasets add", shlex.quote(request.uri), *options])


def _last_part(place: str) -> str:
    """Returns the last part of a path or a URI, without the URI's options."""
    return (place.partition("?")[0] if "://" in place else place).rstrip("/").rpartition("/")[2]


def _details(dataset: DatasetView) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("id", dataset.id)
    table.add_row("name", dataset.name)
    if dataset.previous is not None:
        table.add_row("version", f"{dataset.version}, after {dataset.previous}")
    table.add_row("role", dataset.role)
    table.add_row("where", f"{dataset.uri} ({dataset.format})")
    table.add_row("images", f"{dataset.rows:,} in {dataset.shards:,} shard(s)")
    if dataset.class_counts:
        counts = ", ".join(f"{name} {count:,}" for name, count in dataset.class_counts.items())
        table.add_row("classes", f"{len(dataset.classes)}: {counts}")
    table.add_row("sample", f"{dataset.sampled:,} checked, {dataset.sampled_bad:,} unreadable")
    for warning in dataset.warnings:
        table.add_row("warning", warning)
    return table
