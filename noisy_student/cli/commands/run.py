"""`noisy-student run`: begins a run with the folders of images that there are, in one line."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from noisy_student.cli.bodies import read_body
from noisy_student.cli.commands.link import page_address
from noisy_student.cli.commands.runs.follow import end_as
from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.one_line.bill import bill_table, fitted, measured
from noisy_student.cli.one_line.choice import GENERATIONS, Body, ChosenRun, choose_run
from noisy_student.cli.one_line.folders import Folders, place_of, register_folders
from noisy_student.cli.one_line.gain import gain_in_words
from noisy_student.cli.one_line.noise import accepted
from noisy_student.cli.one_line.service import FoundService, service_at
from noisy_student.cli.one_line.written import as_commented_yaml
from noisy_student.cli.options import DEFAULT_API, ApiAddress
from noisy_student.cli.terminal import Screen, complain, say
from noisy_student.cli.times import seconds_of
from noisy_student.client import Client
from noisy_student.errors import Forbidden
from service.views.runs import RunView

_UNKNOWN_SIDE = 224


def run(
    labeled: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Labeled images: a folder for each class, a list, Parquet or tar files."),
    ] = None,
    unlabeled: Annotated[str | None, typer.Option(metavar="DIR", help="Unlabeled images, in any folders.")] = None,
    validation: Annotated[
        str | None, typer.Option(metavar="DIR", help="Labeled images to choose by; by default 10 % of each class.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="DIR", help="Labeled images to measure by; by default 10 % of each class.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A timm model for teacher and students; chosen by default.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Recipes by name (noisy-student presets); chosen by default.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Wall time to fit into by a measured plan: 45m, 2h, 1h30m.")
    ] = None,
    generations: Annotated[
        int | None, typer.Option(min=0, max=50, help=f"Number of students after the teacher; {GENERATIONS} by default.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Display name; the labeled folder's by default.")] = None,
    project: Annotated[str | None, typer.Option(help="Project of the datasets and the run.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the split and the training; 0 by default.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Price of one device hour, for the bill.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="A run's configuration as YAML or JSON; its fields count."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking; measures only for a budget.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the run as YAML that -f takes back, and start nothing.")
    ] = False,
    follow: Annotated[
        bool | None, typer.Option("--follow/--no-follow", help="Watch it to its end; by default on a terminal.")
    ] = None,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Begin a run with the images that there are: register them, split off validation and test images, choose a recipe,
    show the bill and start after a yes. Starts a service for the run if none answers on this machine."""
    own = {} if file is None else read_body(file)
    if labeled is None and "datasets" not in own:
        _misuse("name the labeled images: --labeled DIR, or -f FILE with datasets")
    if not (yes or dry_run or _can_be_asked()):
        _misuse("nobody can be asked here: --yes starts without a question, --dry-run prints the run")
    budget_seconds = None if budget is None else _seconds(budget)
    given: Body = {"generations": generations, "project": project, "seed": seed, "name": name, "preset": preset}
    given |= {"teacher_model": model, "student_models": None if model is None else [model]}
    own |= {field: value for field, value in given.items() if value is not None}

    screen = Screen(stderr=dry_run)
    tell = partial(say, err=dry_run)
    try:
        with service_at(api, tell) as service:
            if service.is_own and follow is False:
                _misuse("the service of this command ends with it: follow the run, or keep one with noisy-student up")
            chosen = _chosen(service.client, labeled, unlabeled, validation, test, own, tell)
            if budget_seconds is not None or not (yes or dry_run):
                chosen = _billed(service, chosen, budget_seconds, price, screen, tell)
            if dry_run:
                say(as_commented_yaml(chosen, _head(registered=labeled is not None)))
                return
            if not yes and not typer.confirm("Start it?", default=True):
                say("nothing was started; the datasets stay registered")
                return
            _start(service, chosen, screen, (follow is None and screen.is_terminal) or bool(follow) or service.is_own)
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _billed(
    service: FoundService,
    chosen: ChosenRun,
    budget_seconds: float | None,
    price: float | None,
    screen: Screen,
    tell: Callable[[str], None],
) -> ChosenRun:
    """Measures the run, fits it into the budget and shows its bill. Returns the run that fits."""
    tell("measuring what it takes, in a minute or two ...")
    plan = measured(service, chosen, screen, tell)
    if budget_seconds is not None:
        plan = fitted(service, plan, budget_seconds, screen, tell)
    screen.print(bill_table(plan.stages, price))
    return plan.chosen


def _chosen(
    client: Client,
    labeled: str | None,
    unlabeled: str | None,
    validation: str | None,
    test: str | None,
    own: Body,
    tell: Callable[[str], None],
) -> ChosenRun:
    """Registers the folders, if any, and chooses what `own`, the file and the options, does not say."""
    if labeled is None:
        return ChosenRun(own)
    generations, seed = own.get("generations", GENERATIONS), own.get("seed", 0)
    folders = Folders(labeled, unlabeled, validation, test, own.get("project"), seed)
    found = register_folders(client, folders, needs_unlabeled=generations != 0, say=tell)
    images = found["labeled"]
    presets = client.presets.list(
        images.rows,
        picture_side=images.picture_side or _UNKNOWN_SIDE,
        classes=len(images.classes),
        name=own.get("preset"),
        unlabeled_images=found["unlabeled"].rows if "unlabeled" in found else None,
    )
    assert presets.suggested is not None
    chosen = choose_run(
        name=f"{Path(place_of(labeled)).name}: noisy student"[:120],
        datasets={part: dataset.id for part, dataset in found.items()},
        suggested=presets.suggested,
        model=own.get("teacher_model"),
        found=next(each for each in presets.presets if each.name == presets.suggested.preset),
        generations=generations,
        seed=seed,
    )
    for reason in presets.suggested.reasons:
        tell(reason)
    whole = ChosenRun({**chosen.body, **own}, chosen.reasons)
    tell(
        f"preset {whole.body['preset']}, {whole.body['teacher_model']}, {generations} student(s), "
        f"{presets.suggested.teacher_steps:,} steps for the teacher and {presets.suggested.student_steps:,} for each "
        "student"
    )
    return whole


def _start(service: FoundService, chosen: ChosenRun, screen: Screen, follows: bool) -> None:
    started, _ = accepted(service.client.runs.create, chosen, say)
    say(f"run        {started.id}")
    say(f"web page   {_page(service.client, started.id)}")
    for warning in started.warnings:
        complain(f"warning: {warning}")
    if not follows:
        say(f"follow it  noisy-student watch {started.id}")
        return
    try:
        ended = watch_run(service.client, started.id, screen, service.supervise)
    except KeyboardInterrupt:
        say(_left_behind(service, started))
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    screen.print(result_table(ended))
    for line in gain_in_words(ended):
        say(line)
    end_as(ended)


def _page(client: Client, run_id: str) -> str:
    """The address of the run's page. Callers with an API key get one that logs their browser in."""
    page = f"/ui/runs/{run_id}"
    try:
        return page_address(client, page)
    except Forbidden:
        return client.api + page


def _left_behind(service: FoundService, run: RunView) -> str:
    if service.is_own:
        return f"{run.id} stops with the service that this command started; noisy-student up continues it"
    return f"{run.id} goes on: noisy-student watch {run.id} follows it, noisy-student runs cancel {run.id} ends it"


def _head(registered: bool) -> list[str]:
    made = " Its datasets are registered; the same folders are not registered twice." if registered else ""
    return [f"A run that has not been started.{made} Start it: noisy-student run -f FILE, or runs create -f FILE."]


def _seconds(budget: str) -> float:
    try:
        return seconds_of(budget)
    except ValueError as error:
        _misuse(f"--budget: {error}")


def _can_be_asked() -> bool:
    return sys.stdin.isatty()


def _misuse(text: str) -> NoReturn:
    complain(text)
    raise typer.Exit(ExitCode.USAGE)
