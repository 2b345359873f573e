"""`noisy-student models`: what the runs gave."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from api.cli.client import Client
from api.cli.options import DEFAULT_API, ApiAddress, AsJson, Limit, print_json

models = typer.Typer(no_args_is_help=True, help="Look at the models that the runs gave.")


@models.command("list")
def list_models(
    run_id: Annotated[str | None, typer.Option("--run", help="Only this run's.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List models, the newest first."""
    with Client(api) as client:
        found = client.list_models(limit, run_id)
    if as_json:
        print_json(found)
        return
    table = Table("id", "model", "parameters", "validation", "test", box=None, header_style="bold")
    for model in found:
        table.add_row(
            model.id, model.model, f"{model.parameters:,}", _percent(model.validation_top1), _percent(model.test_top1)
        )
    Console().print(table)


@models.command("show")
def show(
    model_id: Annotated[str, typer.Argument(metavar="MODEL")],
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a model: where its weights lie, and how good it is."""
    with Client(api) as client:
        model = client.get_model(model_id)
    if as_json:
        print_json(model)
        return
    table = Table(box=None, show_header=False)
    table.add_row("id", model.id)
    table.add_row("run", f"{model.run_id}, generation {model.generation}")
    table.add_row("model", f"{model.model} ({model.parameters:,} parameters)")
    table.add_row("weights", f"{model.uri}/model.safetensors")
    table.add_row("validation accuracy", _percent(model.validation_top1))
    table.add_row("test accuracy", _percent(model.test_top1))
    Console().print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
