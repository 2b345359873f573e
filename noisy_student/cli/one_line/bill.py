"""Measures what a run would cost, fits it into a budget, and shows the bill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from noisy_student.cli.commands.plans import duration
from noisy_student.cli.live_view import watch_run
from noisy_student.cli.one_line.budget import DoesNotFit, fit
from noisy_student.cli.one_line.choice import Body, ChosenRun, with_steps
from noisy_student.cli.one_line.noise import accepted
from noisy_student.cli.one_line.service import FoundService
from noisy_student.cli.terminal import Screen
from noisy_student.errors import ApiError
from service.config.run import RunConfig
from service.views.estimates import EstimateView, StageBill

_SAMPLE_SECONDS = 2.0
"""For each thing that is timed. A person waits for it."""
_SMALLER = (0.75, 0.67)
"""By what the size of pictures shrinks, one after the other: to half in all, a quarter of the work."""
_SIZE_STEP, _LEAST_SIZE = 8, 32
Say = Callable[[str], None]


@dataclass(frozen=True)
class PlannedRun:
    """A run as the service accepts it, with its bill."""

    chosen: ChosenRun
    whole: RunConfig
    """The run with whole recipes."""
    stages: Sequence[StageBill]


def measured(service: FoundService, chosen: ChosenRun, screen: Screen, say: Say) -> PlannedRun:
    """Measures on the cluster what the run costs. Raises ApiError if it cannot be measured."""

    def send(body: Body) -> EstimateView:
        return service.client.plans.create({"run": body, "sample_seconds": _SAMPLE_SECONDS})

    plan, chosen = accepted(send, chosen, say)
    try:
        watch_run(service.client, plan.id, screen, service.supervise)
    except KeyboardInterrupt:
        service.client.runs.cancel(plan.id)
        raise
    found = service.client.plans.get(plan.id)
    if found.bill is None or found.run is None:
        raise ApiError(f"{found.id} has {found.state}: {found.state_reason or 'no reason given'}")
    return PlannedRun(chosen, found.run, found.bill.as_configured.stages)


class BudgetTooSmall(ApiError):
    """No run fits into the budget that could gain anything. The message names the smallest budget."""


def fitted(service: FoundService, plan: PlannedRun, budget_seconds: float, screen: Screen, say: Say) -> PlannedRun:
    """The run with as many generations, steps and pixels as the budget has time for, and its bill.

    If fewer generations and steps do not do, it measures again at smaller sizes of the pictures. Raises ApiError.
    """
    for share in _SMALLER:
        try:
            return within_budget(plan, budget_seconds, say)
        except BudgetTooSmall:
            size = round(plan.whole.student_recipe.image_size * share / _SIZE_STEP) * _SIZE_STEP
            if size < _LEAST_SIZE:
                raise
            said = f"too little time for pictures of {plan.whole.student_recipe.image_size} px: they are read at {size}"
            say(f"{said}; measuring again ...")
            plan = measured(service, _with_size(plan.chosen, size, said), screen, say)
    return within_budget(plan, budget_seconds, say)


def _with_size(chosen: ChosenRun, size: int, said: str) -> ChosenRun:
    sized = {name: {**chosen.body.get(name, {}), "image_size": size} for name in ("teacher_recipe", "student_recipe")}
    return replace(chosen, body={**chosen.body, **sized}, reasons={**chosen.reasons, "teacher_recipe": (said,)})


def within_budget(plan: PlannedRun, budget_seconds: float, say: Say) -> PlannedRun:
    """The run with as many generations and steps as the budget has time for, and its bill.

    Raises BudgetTooSmall.
    """
    whole, chosen = plan.whole, plan.chosen
    found = fit(plan.stages, whole.generations, budget_seconds)
    if isinstance(found, DoesNotFit):
        raise BudgetTooSmall(
            f"a budget of {duration(budget_seconds)} is too small: a teacher and a student that learn anything take "
            f"{duration(found.least_seconds)} here; give --budget {_as_option(found.least_seconds)} or more"
        )
    if found.generations == whole.generations and found.share >= 1:
        say(f"takes {duration(found.seconds)} by the plan, within the budget of {duration(budget_seconds)}")
        return plan
    said = (
        f"to fit into {duration(budget_seconds)}: {found.generations} student(s) of {whole.generations}, and "
        f"{100 * found.share:.0f} % of the steps; takes {duration(found.seconds)} by the plan"
    )
    say(said)
    students = whole.student_models[: found.generations] if len(whole.student_models) > 1 else whole.student_models
    body: Body = {**chosen.body, "generations": found.generations, "student_models": list(students)}
    for name, recipe in (("teacher_recipe", whole.teacher_recipe), ("student_recipe", whole.student_recipe)):
        steps = max(1, round(recipe.steps * found.share))
        body[name] = {**chosen.body.get(name, {}), **with_steps(recipe, steps)}
    return PlannedRun(
        chosen=replace(chosen, body=body, reasons={**chosen.reasons, "generations": (said,)}),
        whole=whole,
        stages=[_scaled(stage, found.share) for stage in plan.stages if stage.generation <= found.generations],
    )


def bill_table(stages: Sequence[StageBill], price: float | None) -> Table:
    """One line per stage and a total, within 80 columns. `price` is that of a device hour."""
    table = Table(box=None, header_style="bold", footer_style="bold", show_footer=True, pad_edge=False)
    table.add_column("generation", "all")
    table.add_column("stage")
    table.add_column("images", justify="right")
    table.add_column("time", duration(sum(stage.wall_seconds for stage in stages)), justify="right")
    hours = sum(stage.device_hours for stage in stages)
    table.add_column("device hours", f"{hours:.2f}", justify="right")
    if price is not None:
        table.add_column("price", f"{hours * price:,.2f}", justify="right")
    for stage in stages:
        cells = [
            str(stage.generation),
            stage.stage,
            f"{stage.images:,}",
            duration(stage.wall_seconds),
            f"{stage.device_hours:.2f}",
        ]
        table.add_row(*cells, *([] if price is None else [f"{stage.device_hours * price:,.2f}"]))
    return table


def _scaled(stage: StageBill, share: float) -> StageBill:
    if stage.stage != "train":
        return stage
    wall = stage.overhead_seconds + share * stage.work_seconds
    hours = stage.device_hours * wall / stage.wall_seconds if stage.wall_seconds else 0.0
    return stage.model_copy(
        update={
            "images": round(stage.images * share),
            "work_seconds": share * stage.work_seconds,
            "wall_seconds": wall,
            "device_hours": hours,
        }
    )


def _as_option(seconds: float) -> str:
    minutes = -(-int(seconds) // 60)
    return f"{minutes}m" if minutes < 120 else f"{-(-minutes // 60)}h"
