"""`noisy-student datasets`: register and inspect image datasets."""

import shlex
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, IdempotencyKey, Limit, absolute_path, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.config.datasets import DatasetRequest
from service.views.datasets import DatasetView
from service.views.looks import DatasetLook

_CLASSES_SHOWN = 20

datasets = typer.Typer(no_args_is_help=True, help="Register and inspect image datasets.")


@datasets.command("add")
def add(
    uri: Annotated[str, typer.Argument(help="Path or URI (s3://...) of a folder, a Parquet or tar file, or a list.")],
    role: Annotated[str, typer.Option(help="labeled, unlabeled or evaluation.")],
    name: Annotated[str, typer.Option(help="Display name; the last part of the URI by default.")] = "",
    format: Annotated[
        str | None, typer.Option(help="parquet, image_folder, webdataset or uri_list; detected by default.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this split of a folder that holds several: train, val, test.")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="Image column (Parquet, URI lists).")] = None,
    label_column: Annotated[str | None, typer.Option(help="Label column (Parquet, URI lists).")] = None,
    key_column: Annotated[str | None, typer.Option(help="Key column (Parquet, URI lists).")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names in index order, separated by commas.")] = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a dataset. Nothing is copied, so the files must not change."""
    place = uri if "://" in uri else absolute_path(uri)
    request = {
        "name": name or _last_part(place),
        "role": role,
        "uri": place,
        "format": format,
        "split": split,
        "image_column": image_column,
        "label_column": label_column,
        "key_column": key_column,
        "classes": [part.strip() for part in classes.split(",")] if classes else None,
    }
    with Client(api) as client:
        dataset = client.datasets.create(request, idempotency_key=idempotency_key)
    print_json(dataset) if as_json else Screen().print(_details(dataset))


@datasets.command("look")
def look(
    uri: Annotated[str, typer.Argument(help="Path or URI (s3://...) of a folder or file.")],
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Say what a place is taken for, and how to register it. Records nothing."""
    with Client(api) as client:
        found = client.datasets.look({"uri": uri if "://" in uri else absolute_path(uri)})
    if as_json:
        print_json(found)
        return
    Screen().print(_seen(found))
    for request in found.requests:
        say(_command(request))


@datasets.command("list")
def list_datasets(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List datasets, newest first."""
    with Client(api) as client:
        found = list(client.datasets.list(limit))
    if as_json:
        print_json(found)
        return
    table = Table("id", "name", "role", "format", "images", "classes", box=None, header_style="bold")
    for dataset in found:
        table.add_row(
            dataset.id, dataset.name, dataset.role, dataset.format, f"{dataset.rows:,}", str(len(dataset.classes) or "")
        )
    Screen().print(table)


@datasets.command("show")
def show(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET")],
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a dataset."""
    with Client(api) as client:
        dataset = client.datasets.get(dataset_id)
    print_json(dataset) if as_json else Screen().print(_details(dataset))


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
    options = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name in ("role", "name", "format", "split", "image_column", "label_column", "key_column")
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
