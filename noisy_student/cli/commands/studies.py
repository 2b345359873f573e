"""`noisy-student searches` and `noisy-student ablations`: studies of a run's student."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.bodies import read_body
from noisy_student.cli.options import (
    DEFAULT_API,
    ApiAddress,
    CreatedSince,
    IdempotencyKey,
    Limit,
    OfProject,
    States,
    body_option,
)
from noisy_student.cli.output import TABLE, Column, Output, show, show_list, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.studies import AblationView, SearchView, StudySummary

_COLUMNS: tuple[Column[StudySummary], ...] = (
    Column("id", lambda study: study.id),
    Column("name", lambda study: study.name),
    Column("of", lambda study: study.run_id),
    Column("generation", lambda study: str(study.generation)),
    Column("state", lambda study: study.state),
    Column("started", lambda study: time_of(study.created_at)),
    Column("ended", lambda study: time_of(study.finished_at) if study.finished_at else "", is_wide=True),
    Column("reason", lambda study: study.state_reason or "", is_wide=True),
)


def _tell_started(group: str, study: StudySummary) -> None:
    say(f"{study.id} started ({study.state})")
    say(f"noisy-student watch {study.id}, then noisy-student {group} show {study.id}", err=True)


searches = typer.Typer(no_args_is_help=True, help="Search for a student's noise and size alongside a run.")


@searches.command("create")
def create_search(
    file: Annotated[Path, body_option("The search")],
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start a search. {"run_id": RUN, "generation": 1} is enough."""
    request = read_body(file)
    with Client(api) as client:
        search = client.searches.create(request, idempotency_key=idempotency_key)
    show(search, output, lambda _: _tell_started("searches", search))


@searches.command("list")
def list_searches(
    limit: Limit = 50,
    states: States = None,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List searches, newest first."""
    with Client(api) as client:
        found = list(client.searches.list(limit, state=states, project=project, since=since))
    show_list(found, output, _COLUMNS)


@searches.command("show")
def show_search(
    search_id: Annotated[str, typer.Argument(metavar="SEARCH", help="The search's id.")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a search: its trials, best first, and the winner."""
    with Client(api) as client:
        search = client.searches.get(search_id)
    show(search, output, lambda screen: _show_search(search, screen, api))


def _show_search(search: SearchView, screen: Screen, api: str) -> None:
    screen.print(trial_table(search))
    screen.print(_search_summary(search))
    for path in search.pictures:
        screen.print(api.rstrip("/") + path, soft_wrap=True)


def trial_table(search: SearchView) -> Table:
    """One line per trial, sorted by objective."""
    table = Table("trial", "state", "model", "n", "m", "dropout", "path", "ratio", "steps", "objective", box=None)
    for trial in sorted(search.trials, key=lambda each: -(each.objective or -1.0)):
        point = trial.parameters
        table.add_row(
            str(trial.number),
            trial.state,
            point.model,
            "-" if point.rand_augment_n is None else str(point.rand_augment_n),
            "-" if point.rand_augment_m is None else str(point.rand_augment_m),
            f"{point.dropout:.2f}",
            f"{point.drop_path:.2f}",
            f"{point.unlabeled_ratio:g}",
            str(trial.steps),
            "" if trial.objective is None else f"{trial.objective:.4f}",
        )
    return table


def _search_summary(search: SearchView) -> str:
    outcome = search.outcome
    if outcome is None:
        return f"{search.state}{': ' + search.state_reason if search.state_reason else ''}"
    share = 100 * outcome.steps_run / outcome.steps_of_full_trials
    return (
        f"winner: trial {outcome.best_trial}, {outcome.model}; {outcome.steps_run} steps, {share:.0f} % of "
        f"those of {len(outcome.trials)} full trials; Pareto front: {', '.join(map(str, outcome.pareto_front))}"
    )


ablations = typer.Typer(no_args_is_help=True, help="Retrain a run's student without each part of the method in turn.")
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


@ablations.command("create")
def create_ablation(
    run_id: RunId,
    file: Annotated[Path | None, body_option("The ablation, all variants by default")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Start an ablation of a run's last student, or of the generation named in the file."""
    request = read_body(file) if file else {}
    with Client(api) as client:
        ablation = client.ablations.create(run_id, request, idempotency_key=idempotency_key)
    show(ablation, output, lambda _: _tell_started("ablations", ablation))


@ablations.command("list")
def list_ablations(
    run_id: RunId,
    limit: Limit = 50,
    states: States = None,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List a run's ablations, newest first."""
    with Client(api) as client:
        found = list(client.ablations.list(run_id, limit, state=states, project=project, since=since))
    show_list(found, output, _COLUMNS)


@ablations.command("show")
def show_ablation(
    ablation_id: Annotated[str, typer.Argument(metavar="ABLATION", help="The ablation's id.")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show an ablation's table."""
    with Client(api) as client:
        ablation = client.ablations.get(ablation_id)
    show(ablation, output, lambda screen: screen.print(ablation_table(ablation)))


def ablation_table(ablation: AblationView) -> Table | str:
    """One line per variant: its error and the change from the full student's, in percent of the images."""
    outcome = ablation.outcome
    if outcome is None:
        ended = sum(training.state != "running" for training in ablation.trainings)
        return f"{ablation.state}: {ended} trainings have ended"
    teacher = "" if outcome.teacher_error is None else f"the teacher's is {100 * outcome.teacher_error:.2f}"
    table = Table(
        "student", f"{outcome.on} error %", "change", "seeds", "model", box=None, header_style="bold", caption=teacher
    )
    for line in outcome.lines:
        table.add_row(
            line.variant + (f" (= {line.same_as})" if line.same_as else ""),
            f"{100 * line.error:.2f}{_spread(line.error_deviation)}",
            f"{100 * line.error_change:+.2f}{_spread(line.error_change_deviation)}",
            str(line.seeds),
            line.model,
        )
    return table


def _spread(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {100 * deviation:.2f}"
