"""`noisy-student presets`: the recipes that a run may name."""

from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, print_json
from noisy_student.cli.terminal import Screen
from noisy_student.client import Client


def presets(
    labeled_images: Annotated[
        int | None, typer.Option(min=1, help="The size of the labeled set. Default: ImageNet's.")
    ] = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List the recipes that a run may name as its preset."""
    with Client(api) as client:
        found = client.presets.list(labeled_images)
    if as_json:
        print_json(found)
        return
    table = Table("name", "model", "steps", "batch", "optimizer", "source", box=None, header_style="bold")
    for each in found.presets:
        recipe = each.student_recipe
        batch = f"{recipe.batch_size} + {recipe.unlabeled_batch_size}"
        table.add_row(each.name, each.model, f"{recipe.steps:,}", batch, recipe.optimizer.name, each.source)
    Screen().print(table)
