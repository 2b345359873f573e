"""The command `noisy-student`: registers all subcommands and turns API errors into exit codes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from noisy_student.cli.commands.datasets import datasets
from noisy_student.cli.commands.demo import demo
from noisy_student.cli.commands.doctor import doctor
from noisy_student.cli.commands.keys import keys
from noisy_student.cli.commands.labels import labels
from noisy_student.cli.commands.link import link
from noisy_student.cli.commands.models import models
from noisy_student.cli.commands.plans import plan, plans
from noisy_student.cli.commands.predictions import predict, predictions
from noisy_student.cli.commands.presets import presets
from noisy_student.cli.commands.profiles import login, logout, profiles
from noisy_student.cli.commands.projects import projects, queue
from noisy_student.cli.commands.retention import retention
from noisy_student.cli.commands.run import run
from noisy_student.cli.commands.runs.follow import events, watch
from noisy_student.cli.commands.runs.group import runs
from noisy_student.cli.commands.runs.logs import logs
from noisy_student.cli.commands.studies import ablations, searches
from noisy_student.cli.commands.up import up
from noisy_student.cli.commands.webhooks import webhooks
from noisy_student.cli.exit_codes import code_of_error
from noisy_student.cli.terminal import complain, say
from noisy_student.client import Client
from noisy_student.errors import ApiError
from noisy_student.profiles import PROFILE_VARIABLE

_OWN_PROFILE = ("login", "logout")
_LONGEST_SECONDS_FOR_VERSION = 3.0
_BEGIN, _RUNS, _DATA, _ADMINISTRATION = "Begin", "Runs", "Data and models", "Administration"


class _Commands(TyperGroup):
    """Prints API errors on standard error, without a traceback. Takes `--profile` before and after the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_profile_first(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ApiError as error:
            complain(str(error))
            raise typer.Exit(code_of_error(error)) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Noisy Student Training on a Ray cluster, over the REST API. Begin on this machine with `noisy-student up`, "
    "or with a service elsewhere with `noisy-student login URL`; then "
    "`noisy-student run --labeled DIR --unlabeled DIR`.",
)


def _say_version(is_asked: bool) -> None:
    """Prints this program's version, and that of the service if one answers with the key that is known."""
    if not is_asked:
        return
    say(f"noisy-student {version('noisy-student')}")
    with suppress(ApiError), Client(timeout_seconds=_LONGEST_SECONDS_FOR_VERSION, retries=0) as client:
        say(f"service at {client.api}: {client.service.me().service_version or 'an earlier version'}")
    raise typer.Exit


@app.callback()
def _options_of_all(
    context: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", envvar=PROFILE_VARIABLE, help="A service that login has kept."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit.")
    ] = False,
) -> None:
    if profile is not None:
        context.with_resource(_using(profile))


@contextmanager
def _using(profile: str) -> Iterator[None]:
    """Makes the profile that of this process and of those that it starts."""
    before = os.environ.get(PROFILE_VARIABLE)
    os.environ[PROFILE_VARIABLE] = profile
    try:
        yield
    finally:
        os.environ.pop(PROFILE_VARIABLE)
        if before is not None:
            os.environ[PROFILE_VARIABLE] = before


def _with_profile_first(words: list[str]) -> list[str]:
    """The command line with `--profile NAME` before the command, except of commands that name a profile themselves."""
    end = words.index("--") if "--" in words else len(words)
    place = next((index for index, word in enumerate(words[:end]) if word.partition("=")[0] == "--profile"), None)
    if place is None or any(word in _OWN_PROFILE for word in words[:place]):
        return words
    stop = place + (1 if "=" in words[place] else 2)
    return [*words[place:stop], *words[:place], *words[stop:]]


app.command("login", rich_help_panel=_BEGIN)(login)
app.command("logout", rich_help_panel=_BEGIN)(logout)
app.add_typer(profiles, name="profiles", rich_help_panel=_BEGIN)
app.command("up", rich_help_panel=_BEGIN)(up)
app.command("demo", rich_help_panel=_BEGIN)(demo)
app.command("doctor", rich_help_panel=_BEGIN)(doctor)
app.command("link", rich_help_panel=_BEGIN)(link)
app.add_typer(datasets, name="datasets", rich_help_panel=_DATA)
app.command("presets", rich_help_panel=_DATA)(presets)
app.command("run", rich_help_panel=_BEGIN)(run)
app.command("plan", rich_help_panel=_RUNS)(plan)
app.add_typer(plans, name="plans", rich_help_panel=_RUNS)
app.add_typer(runs, name="runs", rich_help_panel=_RUNS)
app.add_typer(searches, name="searches", rich_help_panel=_RUNS)
app.add_typer(ablations, name="ablations", rich_help_panel=_RUNS)
app.command("queue", rich_help_panel=_RUNS)(queue)
app.add_typer(projects, name="projects", rich_help_panel=_ADMINISTRATION)
app.command("watch", rich_help_panel=_RUNS)(watch)
app.command("logs", rich_help_panel=_RUNS)(logs)
app.command("events", rich_help_panel=_RUNS)(events)
app.add_typer(labels, name="labels", rich_help_panel=_DATA)
app.add_typer(models, name="models", rich_help_panel=_DATA)
app.command("predict", rich_help_panel=_DATA)(predict)
app.add_typer(predictions, name="predictions", rich_help_panel=_DATA)
app.add_typer(keys, name="keys", rich_help_panel=_ADMINISTRATION)
app.add_typer(retention, name="retention", rich_help_panel=_ADMINISTRATION)
app.add_typer(webhooks, name="webhooks", rich_help_panel=_ADMINISTRATION)

if __name__ == "__main__":
    app()
