"""`noisy-student datasets`: register and inspect image datasets."""

from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, IdempotencyKey, Limit, absolute_path, print_json
from noisy_student.cli.terminal import Screen
from noisy_student.client import Client
from service.views.datasets import DatasetView

datasets = typer.Typer(no_args_is_help=True, help="Register and inspect image datasets.")


@datasets.command("add")
def add(
    uri: Annotated[str, typer.Argument(help="Path or URI (s3://...) of a folder, a Parquet or tar file, or a list.")],
    role: Annotated[str, typer.Option(help="labeled, unlabeled or evaluation.")],
    name: Annotated[str, typer.Option(help="Display name; the last part of the URI by default.")] = "",
    format: Annotated[
        str | None, typer.Option(help="parquet, image_folder, webdataset or uri_list; detected by default.")
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
        "image_column": image_column,
        "label_column": label_column,
        "key_column": key_column,
        "classes": [part.strip() for part in classes.split(",")] if classes else None,
    }
    with Client(api) as client:
        dataset = client.datasets.create(request, idempotency_key=idempotency_key)
    print_json(dataset) if as_json else Screen().print(_details(dataset))


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
