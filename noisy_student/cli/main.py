"""The command `noisy-student`: registers all subcommands and turns API errors into exit codes."""

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
from noisy_student.errors import ApiError


class _Commands(TyperGroup):
    """Prints API errors on standard error, without a traceback."""

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
    if is_asked:
        say(f"noisy-student {version('noisy-student')}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


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
