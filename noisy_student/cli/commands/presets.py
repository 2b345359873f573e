"""`noisy-student presets`: the recipes that a run may name."""

from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Column, Output, show, table_of
from noisy_student.client import Client
from service.config.presets import Preset
from workers.specs.recipe import Recipe


def presets(
    labeled_images: Annotated[
        int | None, typer.Option(min=1, help="The size of the labeled set. Default: ImageNet's.")
    ] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List the recipes that a run may name as its preset."""
    with Client(api) as client:
        found = client.presets.list(labeled_images)
    show(found, output, lambda screen: screen.print(table_of(found.presets, output, _COLUMNS)))


def _batch(recipe: Recipe) -> str:
    return f"{recipe.batch_size} + {recipe.unlabeled_batch_size}"


_COLUMNS: tuple[Column[Preset], ...] = (
    Column("name", lambda preset: preset.name),
    Column("model", lambda preset: preset.model),
    Column("steps", lambda preset: f"{preset.student_recipe.steps:,}"),
    Column("batch", lambda preset: _batch(preset.student_recipe)),
    Column("optimizer", lambda preset: preset.student_recipe.optimizer.name),
    Column("source", lambda preset: preset.source),
)
