"""`noisy-student plan`: estimates a run's cost before it starts; `noisy-student plans`: shows earlier plans."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from noisy_student.cli.bodies import read_body
from noisy_student.cli.exit_codes import ExitCode, code_of_state
from noisy_student.cli.live_view import watch_run
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
from noisy_student.cli.output import TABLE, Column, Output, OutputFormat, show, show_list, time_of
from noisy_student.cli.terminal import Screen, complain, say
from noisy_student.client import Client
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.estimates import Bill, EstimateSummary, EstimateView, StageBill

plans = typer.Typer(no_args_is_help=True, help="Show earlier plans.")
_COLUMNS: tuple[Column[EstimateSummary], ...] = (
    Column("id", lambda plan: plan.id),
    Column("name", lambda plan: plan.name),
    Column("state", lambda plan: plan.state),
    Column("started", lambda plan: time_of(plan.created_at)),
    Column("ended", lambda plan: time_of(plan.finished_at) if plan.finished_at else "", is_wide=True),
    Column("reason", lambda plan: plan.state_reason or "", is_wide=True),
)


def plan(
    file: Annotated[Path, body_option("A run's configuration, or a plan request with it as `run`")],
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Also bill a cluster with this many devices (GPUs with their CPUs, or CPU cores)."),
    ] = None,
    cpus_per_device: Annotated[float | None, typer.Option(help="CPUs of each device; 1 by default.")] = None,
    gpus_per_device: Annotated[float | None, typer.Option(help="GPUs of each device; 0 by default.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Price of one device hour, in any currency.")] = None,
    spot_share: Annotated[float | None, typer.Option(min=0, max=1, help="Share of spot devices.")] = None,
    unlabeled_images: Annotated[int | None, typer.Option(min=1, help="Bill for a pool of this size.")] = None,
    sample_seconds: Annotated[float | None, typer.Option(help="Seconds per measurement.")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Measure what a run would cost, wait for the result, and print a bill per stage and generation."""
    request = _request(read_body(file))
    spot = {"share": spot_share} if spot_share else None
    shape = {
        "devices": devices,
        "cpus_per_device": cpus_per_device,
        "gpus_per_device": gpus_per_device,
        "price_per_device_hour": price,
        "spot": spot,
    }
    given = {name: value for name, value in shape.items() if value is not None}
    if given:
        request["cluster"] = {**(request.get("cluster") or {}), **given}
    for name, value in (("unlabeled_images", unlabeled_images), ("sample_seconds", sample_seconds)):
        if value is not None:
            request[name] = value
    with Client(api) as client:
        started = client.plans.create(request, idempotency_key=idempotency_key)
        watch_run(client, started.id, Screen(stderr=True))
        found = client.plans.get(started.id)
    _show(found, output)


@plans.command("list")
def list_plans(
    limit: Limit = 50,
    states: States = None,
    project: OfProject = None,
    since: CreatedSince = None,
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """List plans, newest first."""
    with Client(api) as client:
        found = list(client.plans.list(limit, state=states, project=project, since=since))
    show_list(found, output, _COLUMNS)


@plans.command("show")
def show_plan(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id.")],
    output: Output = TABLE,
    api: ApiAddress = DEFAULT_API,
) -> None:
    """Show a plan's bill."""
    with Client(api) as client:
        found = client.plans.get(plan_id)
    _show(found, output)


def bill_table(found: EstimateView, bill: Bill) -> Table:
    """One line per stage and a total, within 80 columns."""
    whole, priced = bill.whole_cluster, bill.as_configured.totals.cost is not None
    table = Table(
        title=f"{found.name}: {found.id}",
        title_justify="left",
        header_style="bold",
        footer_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_footer=True,
    )
    totals = bill.as_configured.totals
    table.add_column("gen", "all", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    _add_number(table, "images/s\na device")
    _add_number(table, "de-\nvices")
    _add_number(table, "wall", duration(totals.wall_seconds))
    if whole:
        _add_number(table, f"wall at\n{_short(whole.devices)}", duration(whole.totals.wall_seconds))
    _add_number(table, "device\nhours", _short(totals.device_hours))
    _add_number(table, "read", size(totals.bytes_read))
    _add_number(table, "written", size(totals.bytes_written))
    if priced:
        _add_number(table, "cost", _money(totals.cost))
    others = whole.stages if whole else bill.as_configured.stages
    for line, other in zip(bill.as_configured.stages, others, strict=True):
        table.add_row(*_cells(line, other if whole else None, priced))
    return table


def duration(seconds: float) -> str:
    """Formats seconds in the unit that leaves one to three digits before the decimal point."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 72)):
        if seconds < most * length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds / 86400:.1f} d"


def size(count: float) -> str:
    """Formats bytes in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{_short(count)} {unit}"
        count /= 1000
    return f"{_short(count)} PB"


def _request(body: dict[str, Any]) -> dict[str, Any]:
    return body if "run" in body else {"run": body}


def _show(found: EstimateView, output: OutputFormat) -> None:
    show(found, output, lambda screen: _print_bill(found, screen))
    if (code := code_of_state(found.state)) != ExitCode.OK:
        complain(f"{found.id} {found.state}: {found.state_reason or 'no reason given'}")
        raise typer.Exit(code)


def _print_bill(found: EstimateView, console: Screen) -> None:
    bill = found.bill
    if bill is None:
        if found.state in UNFINISHED_RUNS:
            say(f"{found.id} is {found.state}; noisy-student watch {found.id}")
        return
    console.print(bill_table(found, bill))
    totals = bill.as_configured.totals
    console.print(f"storage        {size(totals.bytes_kept)} at the end")
    if bill.whole_cluster is not None:
        whole = bill.whole_cluster
        cost = "" if whole.totals.cost is None else f", cost {_money(whole.totals.cost)}"
        console.print(
            f"whole cluster  {whole.devices} devices: {duration(whole.totals.wall_seconds)}, "
            f"{_short(whole.totals.device_hours)} device hours{cost}"
        )
    console.print("assumptions")
    for assumption in bill.assumptions:
        console.print(f"- {assumption}")


def _cells(line: StageBill, other: StageBill | None, priced: bool) -> list[str]:
    speed = line.images_per_second_per_device
    cells = [
        str(line.generation),
        line.stage,
        "-" if speed is None else _short(speed),
        f"{line.devices:g}",
        duration(line.wall_seconds),
    ]
    if other is not None:
        cells.append(duration(other.wall_seconds))
    cells += [_short(line.device_hours), size(line.bytes_read), size(line.bytes_written)]
    return [*cells, _money(line.cost)] if priced else cells


def _add_number(table: Table, name: str, total: str = "") -> None:
    table.add_column(name, total, justify="right", no_wrap=True)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _money(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:,.0f}" if cost >= 100 else f"{cost:.2f}"
