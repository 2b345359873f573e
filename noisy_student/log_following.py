"""Follows the log of a run's stages as it grows, from attempt to attempt, even if the API restarts meanwhile.

The API returns the end of a log, so each look is compared with the one before; no more than two looks are held.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from noisy_student.connection import Connection
from noisy_student.errors import ApiError
from noisy_student.steps import Clock, Emit, Sleep, Steps, patiently
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.runs import AttemptView, LogTail, RunView

LOOK_LINES = 2000
"""How many lines each look reads. A log that grows faster loses lines, which is said in their place."""
_POLL_SECONDS = 2.0


class LogPart(NamedTuple):
    """Further lines of one attempt's log."""

    submission_id: str
    lines: list[str]
    is_after_gap: bool = False
    """Whether lines before these were written faster than they could be read."""


class LogPlace(NamedTuple):
    """Which attempt a log is of. `None`: any."""

    generation: int | None
    stage: str | None
    attempt: int | None


class _Started(NamedTuple):
    """An attempt that has started, with where it is."""

    generation: int
    stage: str
    attempt: AttemptView


def follow_log(
    connection: Connection,
    look_at_run: Callable[[], Steps[RunView]],
    look_at_log: Callable[[int, str, int], Steps[LogTail]],
    wanted: LogPlace,
    lines: int,
    clock: Clock = time.monotonic,
) -> Steps[None]:
    """Emits the last `lines` lines of the latest attempt that `wanted` fits, what follows them, and the log of each
    later attempt that fits, until none can follow. Raises ApiError if the API stays away or no attempt ever fits.
    """
    followed: set[str] | None = None
    while True:
        run = yield from patiently(connection, look_at_run, _POLL_SECONDS, clock)
        started = list(started_attempts(run, wanted))
        first = followed is None
        if followed is None and started:
            followed = {each.attempt.submission_id for each in started[:-1]}
        following = next((each for each in started if each.attempt.submission_id not in (followed or ())), None)
        if following is not None and followed is not None:
            shown = lines if first else LOOK_LINES
            yield from _follow_attempt(connection, look_at_run, look_at_log, following, shown, clock)
            followed.add(following.attempt.submission_id)
        elif run.state not in UNFINISHED_RUNS or _has_ended(run, wanted):
            if not started:
                raise ApiError(f"{run.id} is {run.state} and has started no such stage")
            return
        else:
            yield Sleep(_POLL_SECONDS)


def started_attempts(run: RunView, wanted: LogPlace) -> Iterator[_Started]:
    """The run's attempts that `wanted` fits, in the order in which they started."""
    for generation in run.generation_details:
        for stage in generation.stages:
            for attempt in stage.attempts:
                place = LogPlace(stage.generation, stage.name, attempt.number)
                if all(mine in (None, its) for mine, its in zip(wanted, place, strict=True)):
                    yield _Started(stage.generation, stage.name, attempt)


def new_lines(before: Sequence[str], now: Sequence[str]) -> tuple[list[str], bool]:
    """The lines of the look `now` that the look `before` did not have, and whether lines between them are missing.

    Each look is the end of one growing log. The fewest new lines that explain both are taken.
    """
    for first in range(len(before)):
        rest = before[first:]
        if list(now[: len(rest)]) == list(rest):
            return list(now[len(rest) :]), False
    return list(now), bool(before)


def _follow_attempt(
    connection: Connection,
    look_at_run: Callable[[], Steps[RunView]],
    look_at_log: Callable[[int, str, int], Steps[LogTail]],
    at: _Started,
    lines: int,
    clock: Clock,
) -> Steps[None]:
    generation, stage, number = at.generation, at.stage, at.attempt.number
    place = LogPlace(generation, stage, number)
    shown: list[str] = []
    last: list[str] | None = None
    while True:
        run = yield from patiently(connection, look_at_run, _POLL_SECONDS, clock)
        is_over = all(each.attempt.finished_at is not None for each in started_attempts(run, place))
        tail = yield from patiently(connection, lambda: look_at_log(generation, stage, number), _POLL_SECONDS, clock)
        # The last line may still be half written, unless the job is over or the line has stayed the same.
        whole = tail.lines if is_over or tail.lines == last else tail.lines[:-1]
        found, has_gap = new_lines(shown, whole)
        if not shown:
            found = found[-lines:]
        if found:
            yield Emit(LogPart(tail.submission_id, found, has_gap))
        shown, last = (whole or shown), tail.lines
        if is_over:
            return
        yield Sleep(_POLL_SECONDS)


def _has_ended(run: RunView, wanted: LogPlace) -> bool:
    """Whether no further attempt can fit: the attempt, or the one stage that is wanted, is over."""
    if wanted.generation is None or wanted.stage is None:
        return False
    stages = [
        stage
        for generation in run.generation_details
        for stage in generation.stages
        if (stage.generation, stage.name) == wanted[:2]
    ]
    return any(stage.finished_at is not None for stage in stages) or (
        wanted.attempt is not None and any(True for _ in started_attempts(run, wanted))
    )
