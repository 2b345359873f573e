"""Watches a run under faults: which attempts work at the same time, and what each had done when the next began."""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.faults.injections import drivers
from service.views.runs import RunView, StageView
from workers.artifact_io import read_bytes_if_there
from workers.specs.reports import Progress
from workers.specs.stages import PROGRESS_FILE

_LOOK_EVERY_SECONDS = 0.3
FENCE_SECONDS = 6.0
"""A superseded attempt notices at its next unit of work. Until then two processes may be alive, but the later attempt
is still importing, which takes longer."""
_SPEC = re.compile(r"(?P<folder>.*/runs/(?P<stage>.*))/specs/a(?P<attempt>\d+)\.json")


@dataclass(frozen=True)
class Working:
    """One attempt of one stage with a live driver."""

    stage: str
    attempt: int


class Watch:
    """A context manager that watches the stages whose artifacts are below a folder, from a thread of its own."""

    def __init__(self, artifacts: Path) -> None:
        self._artifacts = artifacts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._together: dict[tuple[str, int, int], float] = {}
        self.doubled: set[str] = set()
        """Stages on which two attempts worked at once for longer than the fence needs."""
        self.parts_before: dict[tuple[str, int], int] = {}
        """How many label files existed when an attempt's driver started."""
        self.progress_before: dict[tuple[str, int], Progress] = {}
        """The progress that the previous attempt had reported by then."""

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            self._note(self._working())

    def _working(self) -> set[Working]:
        found = set()
        for process in drivers(self._artifacts):
            match = _SPEC.fullmatch(process.info["cmdline"][-1])
            try:
                awake = process.status() != psutil.STATUS_STOPPED
            except psutil.Error:
                continue
            if match is not None and awake:
                working = Working(match["stage"], int(match["attempt"]))
                parts = len(list(Path(match["folder"]).glob("part-*.parquet")))
                key = (working.stage, working.attempt)
                progress = read_bytes_if_there(f"{match['folder']}/{PROGRESS_FILE}")
                if key not in self.parts_before and progress is not None:
                    self.progress_before[key] = Progress.model_validate_json(progress)
                self.parts_before.setdefault(key, parts)
                found.add(working)
        return found

    def _note(self, working: set[Working]) -> None:
        now = time.monotonic()
        pairs = {
            (one.stage, one.attempt, other.attempt)
            for one in working
            for other in working
            if one.stage == other.stage and one.attempt < other.attempt
        }
        self._together = {pair: self._together.get(pair, now) for pair in pairs}
        self.doubled |= {
            f"attempts {pair[1]} and {pair[2]} of {pair[0]} for over {FENCE_SECONDS:.0f} s"
            for pair, since in self._together.items()
            if now - since > FENCE_SECONDS
        }


def complaints(run: RunView, stages: Sequence[StageView], watch: Watch, checkpoint_every_steps: int) -> list[str]:
    """What should hold for a run that has ended, but does not."""
    found = [] if run.state == "succeeded" else [f"the run ended {run.state}: {run.state_reason}"]
    found += sorted(watch.doubled)
    for stage in stages:
        states = [attempt.state for attempt in stage.attempts]
        if stage.state == "succeeded" and (states[-1] != "succeeded" or states.count("succeeded") != 1):
            found.append(f"{stage.id}: its attempts ended as {', '.join(states)}")
        intervals = [(attempt.created_at, attempt.finished_at) for attempt in stage.attempts]
        if any(later[0] < earlier[1] for earlier, later in pairwise(intervals) if earlier[1]):
            found.append(f"{stage.id}: an attempt began before the one before it had ended")
        if stage.state == "succeeded":
            found += _done_again(stage, watch, checkpoint_every_steps)
    return found


def _done_again(stage: StageView, watch: Watch, checkpoint_every_steps: int) -> list[str]:
    """Finished work that the last attempt repeated: whole shards, and steps before the last checkpoint."""
    assert stage.result is not None
    key = (f"{stage.run_id}/gen-{stage.generation}/{stage.name}", stage.attempts[-1].number)
    if stage.name == "label":
        there, kept = watch.parts_before.get(key, 0), stage.result["shards_resumed"]
        return [f"{stage.id}: {there} label files were there and {kept} were kept"] if kept < there else []
    before = watch.progress_before.get(key)
    if stage.name == "train" and before is not None and before.done < before.total:
        # The attempt may have ended while it was writing its last checkpoint.
        kept = stage.result["resumed_from_step"]
        if kept < before.done - 2 * checkpoint_every_steps:
            return [f"{stage.id}: {before.done} steps were done and {kept} were kept"]
    return []
