"""`noisy-student projects` and `noisy-student queue`: project quotas, and the stages that wait for the cluster."""

from typing import Annotated

import typer

from noisy_student.cli.options import DEFAULT_API, ApiAddress, Limit
from noisy_student.cli.output import TABLE, Column, Output, OutputFormat, show, show_list, table_of, time_of
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.queue import ProjectView, QueuedStage, QueueView

projects = typer.Typer(no_args_is_help=True, help="Show what projects have spent, and set their quotas.")
_COLUMNS: tuple[Column[ProjectView], ...] = (
    Column("project", lambda project: project.name),
    Column("device hours spent", lambda project: f"{project.spent_device_hours:.2f}"),
    Column("quota", lambda project: "none" if (most := project.quota_device_hours) is None else f"{most:g}"),
    Column("", lambda project: "exhausted" if project.exhausted else ""),
)
_QUEUE_COLUMNS: tuple[Column[QueuedStage], ...] = (
    Column("", lambda place: str(place.position)),
    Column("run", lambda place: place.run_id),
    Column("name", lambda place: place.run_name),
    Column("stage", lambda place: f"generation {place.generation} {place.stage}"),
    Column("project", lambda place: place.project),
    Column("priority", lambda place: str(place.priority)),
    Column("ready since", lambda place: time_of(place.ready_at), is_wide=True),
    Column("waits for", lambda place: place.reason),
)
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]


def queue(limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Show the waiting stages in the order in which they will start, with the reason."""
    with Client(api) as client:
        found = client.queue.get(min(limit, 100))
    show(found, output, lambda screen: _show_queue(found, screen, output))


def _show_queue(found: QueueView, screen: Screen, output: OutputFormat) -> None:
    most = "" if found.max_concurrent_stages is None else f" of {found.max_concurrent_stages}"
    say(f"{found.running_stages}{most} stages running, {found.waiting_stages} waiting")
    if found.waiting:
        screen.print(table_of(found.waiting, output, _QUEUE_COLUMNS))


@projects.command("list")
def list_projects(limit: Limit = 50, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """List projects with their quotas."""
    with Client(api) as client:
        found = list(client.projects.list(limit))
    show_list(found, output, _COLUMNS)


@projects.command("show")
def show_project(name: ProjectName, output: Output = TABLE, api: ApiAddress = DEFAULT_API) -> None:
    """Show one project."""
    with Client(api) as client:
        _tell(client.projects.get(name), output)


@projects.command("quota")
def quota(
    name: ProjectName,
    device_hours: Annotated[
        float | None, typer.Argument(metavar="DEVICE_HOURS", min=0, help="No limit if omitted.")
    ] = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Set how many device hours a project may spend."""
    with Client(api) as client:
        _tell(client.projects.set_quota(name, {"device_hours": device_hours}), output)


def _tell(project: ProjectView, output: OutputFormat) -> None:
    show(project, output, lambda screen: screen.print(table_of([project], output, _COLUMNS)))
