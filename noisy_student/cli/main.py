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
    help="Noisy Student Training on a Ray cluster, over the REST API.",
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


app.command("login")(login)
app.command("logout")(logout)
app.add_typer(profiles, name="profiles")
app.command("up")(up)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("link")(link)
app.add_typer(datasets, name="datasets")
app.command("presets")(presets)
app.command("run")(run)
app.command("plan")(plan)
app.add_typer(plans, name="plans")
app.add_typer(runs, name="runs")
app.add_typer(searches, name="searches")
app.add_typer(ablations, name="ablations")
app.command("queue")(queue)
app.add_typer(projects, name="projects")
app.command("watch")(watch)
app.command("logs")(logs)
app.command("events")(events)
app.add_typer(labels, name="labels")
app.add_typer(models, name="models")
app.command("predict")(predict)
app.add_typer(predictions, name="predictions")
app.add_typer(keys, name="keys")
app.add_typer(retention, name="retention")
app.add_typer(webhooks, name="webhooks")

if __name__ == "__main__":
    app()
