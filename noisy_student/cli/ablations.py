"""`noisy-student ablations`: what each part of the method is worth."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.bodies import read_body
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    AsJson,
    IdempotencyKey,
    Limit,
    print_json,
)
from noisy_student.cli.studies import study_table
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.studies import AblationView

ablations = typer.Typer(no_args_is_help=True, help="Train a run's student without each part of the method in turn.")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


@ablations.command("create")
def create(
    run_id: RunId,
    file: Annotated[
        Path | None, typer.Option("--file", help="The ablation, JSON or .yaml; all variants by default.")
    ] = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start an ablation of a run's last student, or of the generation that the file names."""
    request = read_body(file) if file else {}
    with Client(api) as client:
        ablation = client.ablations.create(run_id, request, idempotency_key=idempotency_key)
    if as_json:
        print_json(ablation)
        return
    say(f"{ablation.id} started ({ablation.state})")
    say(f"noisy-student watch {ablation.id}, then noisy-student ablations show {ablation.id}", err=True)


@ablations.command("list")
def list_ablations(run_id: RunId, limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List a run's ablations, the newest first."""
    with Client(api) as client:
        found = list(client.ablations.list(run_id, limit))
    if as_json:
        print_json(found)
        return
    Screen().print(study_table(found))


@ablations.command("show")
def show(
    ablation_id: Annotated[str, typer.Argument(metavar="ABLATION", help="The ablation's id.")],
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show an ablation's table."""
    with Client(api) as client:
        ablation = client.ablations.get(ablation_id)
    if as_json:
        print_json(ablation)
        return
    Screen().print(ablation_table(ablation))


def ablation_table(ablation: AblationView) -> Table | str:
    """One line a variant: test error and its change from the full student's, in percent of the images."""
    outcome = ablation.outcome
    if outcome is None:
        ended = sum(training.state != "running" for training in ablation.trainings)
        return f"{ablation.state}: {ended} trainings have ended"
    teacher = "" if outcome.teacher_error is None else f"the teacher's is {100 * outcome.teacher_error:.2f}"
    table = Table("student", "test error %", "change", "seeds", "model", box=None, header_style="bold", caption=teacher)
    for line in outcome.lines:
        table.add_row(
            line.variant + (f" (= {line.same_as})" if line.same_as else ""),
            f"{100 * line.test_error:.2f}{_spread(line.test_error_deviation)}",
            f"{100 * line.error_change:+.2f}{_spread(line.error_change_deviation)}",
            str(line.seeds),
            line.model,
        )
    return table


def _spread(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {100 * deviation:.2f}"
