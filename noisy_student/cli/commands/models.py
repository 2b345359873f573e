"""`noisy-student models`: inspect the models that runs produced, and take them away."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.exit_codes import code_of_state
from noisy_student.cli.extras import require
from noisy_student.cli.live_view import watch_run
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    CreatedSince,
    IdempotencyKey,
    Limit,
    OfProject,
    absolute_path,
)
from noisy_student.cli.output import TABLE, Column, Output, OutputFormat, Report, print_data, show, show_list, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.config.names import MAX_NAME_LENGTH
from service.views.lineage import ModelLineage, RegistrationView
from service.views.runs import ModelView
from workers.specs.export import ExportFormat

models = typer.Typer(no_args_is_help=True, help="Inspect the models that runs produced, and take them away.")


@models.command("list")
def list_models(
    run_id: Annotated[str | None, typer.Option("--run", help="Only models of this run.")] = None,
    limit: Limit = 50,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List models, newest first."""
    with Client(api) as client:
        found = list(client.models.list(limit, run_id=run_id, project=project, since=since))
    show_list(found, output, _COLUMNS)


@models.command("show")
def show_model(
    model_id: Annotated[str, typer.Argument(metavar="MODEL")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a model: the location of its weights, and its accuracy."""
    with Client(api) as client:
        model = client.models.get(model_id)
    show(model, output, lambda screen: screen.print(_details(model)))


def _details(model: ModelView) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("id", model.id)
    if model.imported_from is None:
        table.add_row("run", f"{model.run_id}, generation {model.generation}")
    else:
        table.add_row("imported from", f"{model.imported_from} (SHA-256 {model.weights_digest})")
    table.add_row("model", f"{model.model} ({model.parameters:,} parameters)")
    table.add_row("weights", f"{model.uri}/model.safetensors")
    table.add_row("validation accuracy", _percent(model.validation_top1))
    table.add_row("test accuracy", _percent(model.test_top1))
    return table


@models.command("lineage")
def lineage(
    model_id: Annotated[str, typer.Argument(metavar="MODEL")],
    run_config: Annotated[
        bool,
        typer.Option(
            "--run-config",
            help="Print only a run configuration that repeats the training, for runs create -f.",
        ),
    ] = False,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show where a model comes from: teachers, datasets, recipes, label files, code and packages."""
    with Client(api) as client:
        found = client.models.lineage(model_id)
    if run_config:
        if found.run_config is None:
            raise typer.BadParameter(f"{model_id} was trained elsewhere: no run repeats it", param_hint="--run-config")
        print_data(found.run_config, output if output.is_for_programs else OutputFormat.JSON)
    else:
        show(found, output, lambda screen: _show_lineage(found, screen))


def _show_lineage(found: ModelLineage, screen: Screen) -> None:
    screen.print(_ancestry(found))
    for each in found.line():
        if each.further_teachers:
            further = ", ".join(each.further_teachers)
            screen.print(f"the labels of {each.model_id} are the mean of its teacher and {further}")
    screen.print(_datasets(found))


@models.command("register")
def register(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="A folder as timm writes it, or a .safetensors or .pth file.")
    ],
    check: Annotated[str, typer.Option(metavar="DATASET", help="The dataset of which it labels images as a check.")],
    name: Annotated[str | None, typer.Option(help="By default the end of the URI.")] = None,
    model: Annotated[str | None, typer.Option(help="The timm model name, if no config.json beside it says it.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="In the order of the outputs, with commas, or @FILE with one a line."),
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="In pixels, if the weights do not say it.")] = None,
    images: Annotated[int, typer.Option(min=1, help="How many images it labels.")] = 64,
    project: Annotated[str | None, typer.Option(help="The project that owns the model.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the model has been checked.")] = False,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Register a timm model that was trained elsewhere: a Ray job loads it and has it label a few images."""
    given = {
        "model": model,
        "classes": None if classes is None else _class_names(classes),
        "input": None if image_size is None else {"image_size": image_size},
        "project": project,
    }
    request = {
        "name": name or uri.rstrip("/").rpartition("/")[2][-MAX_NAME_LENGTH:],
        "uri": uri if "://" in uri else absolute_path(uri),
        "check": {"dataset": check, "images": images},
        **{field: value for field, value in given.items() if value is not None},
    }
    with Client(api) as client:
        registration = client.models.register(request, idempotency_key=idempotency_key)
        if wait:
            watch_run(client, registration.id, Screen(stderr=True))
            registration = client.models.registration(registration.id)
    show(registration, output, lambda screen: screen.print(_registered(registration)))
    if wait:
        raise typer.Exit(code_of_state(registration.state))


def _class_names(given: str) -> list[str]:
    if not given.startswith("@"):
        return [name.strip() for name in given.split(",")]
    return [line.strip() for line in Path(given[1:]).read_text("utf-8-sig").splitlines() if line.strip()]


def _registered(registration: RegistrationView) -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("registration", f"{registration.id}, {registration.state}")
    if registration.state_reason is not None:
        table.add_row("because", registration.state_reason)
    if registration.model is not None:
        table.add_row("model", f"{registration.model.id}, a {registration.model.model}")
    if registration.check is not None:
        table.add_row("images labeled", f"{registration.check.images:,}, {_percent(registration.check.top1)} right")
        for warning in registration.check.warnings:
            table.add_row("warning", warning)
    return table


@models.command("pull")
def pull(
    model_id: Annotated[str, typer.Argument(metavar="MODEL")],
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A new folder; by default the model's id.")
    ] = None,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Download a model into a folder that timm loads, with its card. The folder appears when it is complete."""
    with Client(api) as client:
        pulled = client.models.pull(model_id, folder)
    say(f'{pulled}: timm.create_model("local-dir:{pulled}", pretrained=True)')


@models.command("export")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's id, or the folder of a pulled one.")],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    images: Annotated[
        Path,
        typer.Option(
            metavar="PLACE",
            help="Pictures like those that the model is for: a folder, or a Parquet file with a column `image`. The "
            "file is compared with the model on up to 64 of them.",
        ),
    ],
    kind: Annotated[ExportFormat, typer.Option("--format", help="The format of the file.")] = "onnx",
    output: Report = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Write a model as ONNX, or for torch.export. The file appears if its answers are the model's."""
    require("worker,export" if kind == "onnx" else "worker")
    from noisy_student.local.model_export import export_checked

    with _folder_of(model, api) as folder:
        report = export_checked(folder, kind, file, images)
    said = (
        f"{file}: on {report.images} images its logits differ from the model's by at most {report.max_difference:.2g} "
        f"({report.tolerance:.2g} is tolerated)"
    )
    show(report, output, lambda _: say(said))


@models.command("push")
def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's id, or the folder of a pulled one.")],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="NAME, or ORGANIZATION/NAME.")],
    is_public: Annotated[bool, typer.Option("--public", help="Make a new repository public, not private.")] = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Upload a model to a repository of the Hugging Face Hub, with the token of HF_TOKEN or `hf auth login`."""
    require("hub")
    from noisy_student.hub_upload import upload_to_hub

    with _folder_of(model, api) as folder:
        say(upload_to_hub(folder, repository, is_public))


@contextmanager
def _folder_of(model: str, api: str) -> Iterator[Path]:
    """The folder of a model: the one that is named, or one that is pulled for now."""
    if Path(model).is_dir():
        yield Path(model)
        return
    with tempfile.TemporaryDirectory() as scratch, Client(api) as client:
        yield client.models.pull(model, Path(scratch) / Path(model).name)


@models.command("keep")
def keep(
    model_id: Annotated[str, typer.Argument(metavar="MODEL")],
    release: Annotated[bool, typer.Option("--release", help="Stop keeping the model.")] = False,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Protect a model and its teachers in the same run against retention, with all that they came from."""
    with Client(api) as client:
        model = client.models.release(model_id) if release else client.models.keep(model_id)
    show(model, output, lambda _: say(f"{model.id} is {'kept' if model.kept else 'no longer kept'}"))


def _ancestry(found: ModelLineage) -> Table:
    """One line per stage, from the model back to the first teacher."""
    table = Table("model", "architecture", "seed", "stage", "attempt", "code", "torch", "collected", box=None)
    for current in found.line():
        for index, stage in enumerate(current.stages):
            first = index == 0
            environment = stage.environment
            gone = ", ".join(f"{each.artifact} ({each.files} files)" for each in stage.collected)
            table.add_row(
                current.model_id if first else "",
                current.model if first else "",
                str(current.seed) if first else "",
                stage.name,
                "-" if stage.attempt is None else str(stage.attempt),
                environment.code.source_digest[:10] if environment else "-",
                environment.packages.get("torch", "-") if environment else "-",
                gone,
            )
    return table


def _datasets(found: ModelLineage) -> Table:
    table = Table("part", "dataset", "name", "images", "digest", "of", box=None, header_style="bold")
    for each in found.datasets:
        table.add_row(each.part, each.id, each.name, f"{each.rows:,}", (each.digest or "-")[:16], each.digest_of or "-")
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


_COLUMNS: tuple[Column[ModelView], ...] = (
    Column("id", lambda model: model.id),
    Column("model", lambda model: model.model),
    Column("parameters", lambda model: f"{model.parameters:,}"),
    Column("validation", lambda model: _percent(model.validation_top1)),
    Column("test", lambda model: _percent(model.test_top1)),
    Column("kept", lambda model: "yes" if model.kept else "no", is_wide=True),
    Column("trained", lambda model: time_of(model.created_at), is_wide=True),
    Column("where", lambda model: model.uri, is_wide=True),
)
