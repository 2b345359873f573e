"""`noisy-student runs`: registers its commands."""

import typer

from noisy_student.cli.commands.runs import manage
from noisy_student.cli.commands.runs.compare import compare_runs
from noisy_student.cli.commands.runs.follow import wait
from noisy_student.cli.commands.runs.logs import logs
from noisy_student.cli.commands.runs.start import clone, create

runs = typer.Typer(no_args_is_help=True, help="Start, inspect, compare, wait for, pause, stop and restart runs.")
runs.command("create")(create)
runs.command("clone")(clone)
runs.command("list")(manage.list_runs)
runs.command("show")(manage.show_run)
runs.command("compare")(compare_runs)
runs.command("wait")(wait)
runs.command("logs")(logs)
runs.command("pause")(manage.pause)
runs.command("resume")(manage.resume)
runs.command("priority")(manage.priority)
runs.command("cancel")(manage.cancel)
runs.command("retry")(manage.retry)
runs.command("add-generation")(manage.add_generation)
