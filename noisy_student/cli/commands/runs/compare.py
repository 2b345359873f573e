"""`noisy-student runs compare`: the settings in which runs differ, and their results side by side."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.output import TABLE, Output, show
from noisy_student.cli.terminal import Screen
from noisy_student.client import Client
from noisy_student.comparison import Comparison, Measured, compare

_SHARES = ("_accuracy", "_rate", "_error", "_confidence")


def compare_runs(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="The ids of two runs or more.")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Compare runs: the settings that differ, and the results of each generation side by side."""
    if len(run_ids) < 2:
        raise typer.BadParameter("name two runs or more", param_hint="RUN")
    with Client(api) as client:
        found = compare([client.runs.get(run_id) for run_id in run_ids])
    show(found, output, lambda screen: _print(found, screen))


def _print(found: Comparison, screen: Screen) -> None:
    settings = _table("setting", found)
    for difference in found.differences:
        settings.add_row(difference.field, *(_setting(value) for value in difference.values))
    screen.print(settings if found.differences else "The configurations are the same.")
    results = _table("result", found)
    results.add_row("state", *(run.state for run in found.runs))
    for outcome in found.outcomes:
        where = "" if outcome.generation is None else f"generation {outcome.generation} "
        name = where + outcome.name.replace("_", " ")
        results.add_row(name, *(result_text(outcome.name, value) for value in outcome.values))
    screen.print(results)


def _table(title: str, found: Comparison) -> Table:
    table = Table(title, box=None, header_style="bold")
    for run in found.runs:
        table.add_column(f"{run.id}\n{run.name}", overflow="fold")
    return table


def _setting(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def result_text(name: str, measured: Measured | None) -> str:
    """The result as people read it, such as `91.2 % (90.1 to 92.2)`."""
    if measured is None:
        return "-"
    value = measured.value
    if isinstance(value, str):
        return value
    if name.endswith(_SHARES) or name.startswith("accuracy_"):
        interval = "" if measured.low is None else f" ({100 * measured.low:.1f} to {100 * (measured.high or 0):.1f})"
        return f"{100 * value:.1f} %{interval}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
