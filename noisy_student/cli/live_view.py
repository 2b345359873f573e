"""The live view of a run in a terminal, and the table of results at its end."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import get_args

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from noisy_student.cli.terminal import Screen, styled
from noisy_student.client import Client
from noisy_student.local.demo.report import error_reduction
from service.lifecycle.states import UNFINISHED_RUNS, RunState, StageState
from service.views.runs import GenerationView, RunView, StageView, StageWait
from workers.specs.stages import StageName

_POLL_SECONDS = 0.5
_STYLES = {
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
}


def watch_run(client: Client, run_id: str, console: Screen, meanwhile: Callable[[], None] = lambda: None) -> RunView:
    """Shows the run until it ends, and returns its final state. Calls `meanwhile` twice a second.

    A terminal gets a live view with a bar for each stage; any other output gets one line per change. Raises ApiError
    for an unknown run, and Unreachable if the API stays away.
    """
    run = client.runs.get(run_id)
    if console.is_terminal:
        with Live(run_lines(run), console=console, auto_refresh=False) as live:

            def draw(seen: RunView) -> None:
                meanwhile()
                live.update(run_lines(seen), refresh=True)

            return run.wait(progress=draw, poll_seconds=_POLL_SECONDS)
    told: set[str] = set()

    def tell(seen: RunView) -> None:
        meanwhile()
        for line in _changes(seen):
            if line not in told:
                told.add(line)
                console.print(line, soft_wrap=True)

    return run.wait(progress=tell, poll_seconds=_POLL_SECONDS)


def run_lines(run: RunView) -> RenderableType:
    """The current state of the run: one line per finished generation, and one per stage of the others."""
    table = Table.grid(padding=(0, 1))
    for generation in run.generation_details:
        if generation.state == "succeeded":
            table.add_row(*_finished_generation(generation))
        else:
            for stage in generation.stages:
                table.add_row(*_stage_line(stage))
    head = styled("  ").join([styled(run.name), styled(run.id, "dim"), styled(run.state, _STYLES.get(run.state, ""))])
    reason = [styled(run.state_reason, style="red")] if run.state_reason else []
    if run.queue:
        reason.append(styled(f"place {run.queue.position} in the queue: {run.queue.reason}", style="yellow"))
    if run.waiting:
        reason.append(styled(wait_line(run.waiting), style="yellow"))
    return Group(head, table, *reason)


def wait_line(waiting: StageWait) -> str:
    """Why a stage that is on the cluster cannot begin, in one line that starts with the kind of the wait."""
    kind = "waiting" if waiting.kind is None else waiting.kind.replace("_", " ")
    return f"{kind}: generation {waiting.generation} {waiting.stage}: {waiting.reason}"


def job_lines(run: RunView, api: str) -> Iterable[str]:
    """Where to see the Ray job of each stage that is under way or has failed: in Ray's dashboard or, later, its log."""
    for generation in run.generation_details:
        for stage in generation.stages:
            attempts = [attempt for attempt in stage.attempts if attempt.job_url]
            if attempts and stage.state in (StageState.RUNNING, StageState.FAILED):
                yield f"Ray job of generation {stage.generation} {stage.name}: {api.rstrip('/')}{attempts[-1].job_url}"


def result_table(run: RunView) -> Table:
    """The results of the run, one line per generation, within 80 columns. Each stage's seconds are work + overhead."""
    there = {stage.name for generation in run.generation_details for stage in generation.stages}
    stages: list[StageName] = [name for name in get_args(StageName) if name in there]
    table = Table(
        title=run.name,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        caption="fewer errors: than the teacher of generation 0; kept: of the images labeled; "
        "s: seconds of work + overhead",
        caption_justify="left",
    )
    table.add_column("gen", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=11)
    for name in ("params", "test\ntop-1", "fewer\nerrors", "images\nkept"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in stages:
        table.add_column(f"{name.removesuffix('uate')}\ns", justify="right", no_wrap=True)
    for generation in run.generation_details:
        by_name = {stage.name: stage for stage in generation.stages}
        table.add_row(
            str(generation.number),
            _model(generation),
            _count(generation.model.parameters) if generation.model else "-",
            _percent(_test_accuracy(generation)),
            _percent(error_reduction(run, generation)),
            _kept(by_name.get("select")),
            *(_seconds(by_name.get(name), digits=0) for name in stages),
        )
    return table


def _changes(run: RunView) -> Iterable[str]:
    """One line for each fact about the run. The caller prints only lines that it has not printed before."""
    for generation in run.generation_details:
        for stage in generation.stages:
            where = f"generation {stage.generation} {stage.name}"
            for attempt in stage.attempts:
                again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
                yield f"{where}: started{again}"
                if attempt.failure_reason:
                    yield f"{where}: {attempt.failure_reason}{again}: {attempt.failure_message or ''}".rstrip(": ")
            if stage.state == StageState.SUCCEEDED:
                yield f"{where}: done in {_seconds(stage)} s"
        if generation.model and generation.model.test_top1 is not None:
            yield f"generation {generation.number}: test accuracy {_percent(generation.model.test_top1)}"
    if run.state == RunState.PAUSED:
        yield f"{run.name}: paused"
    if run.queue:
        yield f"{run.name}: waiting: {run.queue.reason}"
    if run.waiting:
        yield wait_line(run.waiting)
    if run.state not in UNFINISHED_RUNS:
        yield f"{run.name}: {run.state}"


def _finished_generation(generation: GenerationView) -> tuple[RenderableType, ...]:
    took = sum(stage.times.total_seconds for stage in generation.stages if stage.times)
    return (
        f"generation {generation.number}",
        styled("done", style="green"),
        "",
        styled(f"test accuracy {_percent(_test_accuracy(generation))}"),
        styled(f"{took:.0f} s", style="dim"),
    )


def _stage_line(stage: StageView) -> tuple[RenderableType, ...]:
    progress = stage.progress
    total, done = (progress.total, progress.done) if progress else (1, 0)
    counted = f"{done:,}/{total:,} {progress.unit}" if progress else stage.state
    failed = [attempt for attempt in stage.attempts if attempt.failure_reason]
    trouble = f"{failed[-1].failure_reason}: {failed[-1].failure_message or ''}" if failed else ""
    return (
        styled(f"generation {stage.generation} {stage.name}", style=_STYLES.get(stage.state, "dim")),
        ProgressBar(total=max(total, 1), completed=done, width=24),
        styled(counted),
        styled("  ".join([*_live_numbers(stage), *([trouble[:60]] if trouble else [])])),
        styled(_elapsed(stage), style="dim"),
    )


def _live_numbers(stage: StageView) -> list[str]:
    values = stage.progress.values if stage.progress else {}
    numbers = []
    if stage.state == StageState.RUNNING and stage.progress and stage.progress.workers:
        numbers.append(f"{stage.progress.workers} worker{'' if stage.progress.workers == 1 else 's'}")
    if "images_per_second" in values:
        numbers.append(f"{values['images_per_second']:,.0f} images/s")
    if "loss" in values:
        numbers.append(f"loss {values['loss']:.3f}")
    accuracy = values.get("validation_top1", values.get("top1"))
    if accuracy is not None:
        numbers.append(f"accuracy {_percent(accuracy)}")
    return numbers


def _elapsed(stage: StageView) -> str:
    if stage.times:
        return f"{stage.times.total_seconds:.0f} s"
    if stage.state == StageState.RUNNING and stage.ready_at:
        return f"{(datetime.now(UTC) - stage.ready_at).total_seconds():.0f} s"
    return ""


def _model(generation: GenerationView) -> str:
    if generation.model:
        return generation.model.model
    return generation.plan.model if generation.plan else "-"


def _test_accuracy(generation: GenerationView) -> float | None:
    return generation.model.test_top1 if generation.model else None


def _kept(select: StageView | None) -> str:
    if select is None or select.result is None:
        return "-"
    return f"{_count(select.result['kept'])}/{_count(select.result['images_labeled'])}"


def _seconds(stage: StageView | None, digits: int = 1) -> str:
    if stage is None or stage.times is None:
        return "-"
    plus = " + " if digits else "+"
    return f"{stage.times.work_seconds:.{digits}f}{plus}{stage.times.overhead_seconds:.{digits}f}"


def _count(number: int) -> str:
    """The number in full up to five digits, else in thousands or millions: 3,400, 374k, 25.6M, 300M."""
    if number >= 100_000_000:
        return f"{number / 1_000_000:.0f}M"
    if number >= 1_000_000:
        return f"{number / 1_000_000:.1f}M"
    if number >= 100_000:
        return f"{number / 1_000:.0f}k"
    return f"{number:,}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"
