"""`noisy-student projects` and `noisy-student queue`: project quotas, and the stages that wait for the cluster."""

from typing import Annotated

import typer
from rich.table import Table

from noisy_student.cli.options import DEFAULT_API, ApiAddress, AsJson, Limit, print_json
from noisy_student.cli.terminal import Screen, say
from noisy_student.client import Client
from service.views.queue import ProjectView

projects = typer.Typer(no_args_is_help=True, help="Show what projects have spent, and set their quotas.")
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]


def queue(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Show the waiting stages in the order in which they will start, with the reason."""
    with Client(api) as client:
        found = client.queue.get(min(limit, 100))
    if as_json:
        print_json(found)
        return
    most = "" if found.max_concurrent_stages is None else f" of {found.max_concurrent_stages}"
    say(f"{found.running_stages}{most} stages running, {found.waiting_stages} waiting")
    if not found.waiting:
        return
    table = Table("", "run", "name", "stage", "project", "priority", "waits for", box=None, header_style="bold")
    for place in found.waiting:
        stage = f"generation {place.generation} {place.stage}"
        table.add_row(
            str(place.position), place.run_id, place.run_name, stage, place.project, str(place.priority), place.reason
        )
    Screen().print(table)


@projects.command("list")
def list_projects(limit: Limit = 50, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """List projects with their quotas."""
    with Client(api) as client:
        found = list(client.projects.list(limit))
    if as_json:
        print_json(found)
    else:
        _show(found)


@projects.command("show")
def show(name: ProjectName, as_json: AsJson = False, api: ApiAddress = DEFAULT_API) -> None:
    """Show one project."""
    with Client(api) as client:
        _tell(client.projects.get(name), as_json)


@projects.command("quota")
def quota(
    name: ProjectName,
    device_hours: Annotated[
        float | None, typer.Argument(metavar="DEVICE_HOURS", min=0, help="No limit if omitted.")
    ] = None,
    as_json: AsJson = False,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Set how many device hours a project may spend."""
    with Client(api) as client:
        _tell(client.projects.set_quota(name, {"device_hours": device_hours}), as_json)


def _tell(project: ProjectView, as_json: bool) -> None:
    if as_json:
        print_json(project)
    else:
        _show([project])


def _show(found: list[ProjectView]) -> None:
    table = Table("project", "device hours spent", "quota", "", box=None, header_style="bold")
    for project in found:
        most = "none" if project.quota_device_hours is None else f"{project.quota_device_hours:g}"
        table.add_row(project.name, f"{project.spent_device_hours:.2f}", most, "exhausted" if project.exhausted else "")
    Screen().print(table)
