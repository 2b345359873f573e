"""Follows runs through the API until they end, injects faults on the way, and keeps what a user would have seen."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from noisy_student.errors import ApiError
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.runs import RunView, StageView
from tests.rehearsal.rehearsal import Rehearsal
from workers.specs.reports import WaitKind

RUN_LIMIT_SECONDS = 1200.0


@dataclass(frozen=True)
class Sight:
    """What the API showed of a stage at one moment. `seconds` are those of the journal."""

    seconds: float
    run_id: str
    stage: str
    """`gen-K/NAME`."""
    attempt: int
    state: str
    done: int
    has_begun: bool
    """Whether the attempt's work has begun."""
    waiting: WaitKind | None
    reason: str


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong once, as soon as a stage has been seen like this."""

    when: Callable[[Sight], bool]
    what: Callable[[Rehearsal], None]


@dataclass
class Outcome:
    """The runs at their end, and all that was seen of their stages on the way, without repetitions."""

    runs: list[RunView]
    sights: list[Sight] = field(default_factory=list)
    faults: int = 0
    """How many of the faults were injected."""

    def of(self, stage: str) -> list[Sight]:
        """What was seen of a stage, `gen-K/NAME`."""
        return [each for each in self.sights if each.stage == stage]


def rehearse(rehearsal: Rehearsal, bodies: Sequence[Mapping[str, Any]], faults: Sequence[Fault] = ()) -> Outcome:
    """Posts the runs, injects each fault at its moment, and returns when all runs have ended."""
    posted: list[RunView] = [rehearsal.client.runs.create(dict(body)) for body in bodies]
    outcome = Outcome(posted)
    to_come = list(faults)
    deadline = time.monotonic() + RUN_LIMIT_SECONDS
    while any(run.state in UNFINISHED_RUNS for run in outcome.runs):
        assert time.monotonic() < deadline, f"{_states(outcome.runs)} in time\n{rehearsal.journal.text()}"
        outcome.runs = [_latest(rehearsal, run) for run in outcome.runs]
        for sight in _new_sights(rehearsal, outcome):
            outcome.sights.append(sight)
            outcome.faults += strike(to_come, sight, rehearsal)
        time.sleep(0.3)
    rehearsal.journal.note("service", f"has ended the runs: {_states(outcome.runs)}")
    return outcome


def strike(to_come: list[Fault], sight: Sight, rehearsal: Rehearsal) -> int:
    """Injects the faults whose moment this is, and takes them off the list. Returns how many there were."""
    now = [fault for fault in to_come if fault.when(sight)]
    for fault in now:
        to_come.remove(fault)
        fault.what(rehearsal)
    return len(now)


def stages_of(run: RunView) -> dict[str, StageView]:
    """The run's stages by `gen-K/NAME`."""
    return {f"gen-{each.number}/{stage.name}": stage for each in run.generation_details for stage in each.stages}


def _latest(rehearsal: Rehearsal, run: RunView) -> RunView:
    try:
        return rehearsal.client.runs.get(run.id)
    except ApiError:
        return run  # the next look comes soon


def _new_sights(rehearsal: Rehearsal, outcome: Outcome) -> list[Sight]:
    found = []
    last = {(each.run_id, each.stage): each for each in outcome.sights}
    for run in outcome.runs:
        for name, stage in stages_of(run).items():
            seen = _sight(rehearsal.journal.now(), run, name, stage)
            before = last.get((run.id, name))
            if before is None or replace(seen, seconds=before.seconds) != before:
                found.append(seen)
                rehearsal.journal.note("service", f"shows {_text(seen)}")
    return found


def _sight(seconds: float, run: RunView, name: str, stage: StageView) -> Sight:
    progress = stage.progress
    attempt = max((each.number for each in stage.attempts), default=0)
    is_current = progress is not None and progress.attempt == attempt and stage.state == "running"
    waiting = progress.waiting if progress is not None and is_current else None
    return Sight(
        seconds=seconds,
        run_id=run.id,
        stage=name,
        attempt=attempt,
        state=stage.state,
        done=progress.done if progress is not None and is_current else 0,
        has_begun=progress is not None and is_current and progress.work_started_at is not None,
        waiting=waiting.kind if waiting is not None else None,
        reason=waiting.reason if waiting is not None else "",
    )


def _text(sight: Sight) -> str:
    waiting = f" {sight.waiting}: {sight.reason}" if sight.waiting is not None else ""
    return f"{sight.run_id} {sight.stage} a{sight.attempt} {sight.state} {sight.done}{waiting}"


def _states(runs: Sequence[RunView]) -> list[tuple[str, str | None]]:
    return [(run.state, run.state_reason) for run in runs]
