"""A running stage's voice: progress, metric rows and timing, written beside its result; and its fence."""

import json
import time
from collections.abc import Callable

from workers.artifact_io import join_uri, list_files, read_bytes_if_there, write_bytes
from workers.specs.reports import FailureReason, Progress, ProgressUnit, StageControl, Waiting
from workers.specs.results import StageTiming
from workers.specs.stages import PROGRESS_FILE, SPECS_FOLDER, StageSpec, attempt_of_spec, control_name, metrics_name

_AT_WORK_SECONDS = 10.0
"""Since it last said that it is alive: a large shard takes some seconds."""
_SILENT_WATCH_SECONDS = 30.0
"""Who watches the cluster tells a wait again more often than that; one silent for longer knows nothing any more."""


class StageError(Exception):
    """A stage that cannot go on, and why: the reason decides whether the service tries again."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        # Both go to args, so that the error survives pickling on its way through Ray.
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class Superseded(Exception):
    """The attempt is over, or a newer one owns the stage's folder: stop without writing anything."""


class Paused(Exception):
    """The service wants the stage to pause, and it has come to the end of a unit of its work."""


class StageReporter:
    """Writes progress.json at most every `interval_seconds`, and refuses to once a newer attempt owns the folder.

    `unit` is what `done` and `total` count. Not thread-safe: one driver, one reporter.
    """

    def __init__(
        self,
        spec: StageSpec,
        entered_at: float,
        clock: Callable[[], float] = time.time,
        interval_seconds: float = 1.0,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._entered_at = entered_at
        self._work_started_at: float | None = None
        self._work_ended_at: float | None = None
        self._written_at = 0.0
        self._advanced_at = clock()
        self._alive_at: float | None = None
        self._control: StageControl | None = None
        self._control_read_at = 0.0
        self._done = 0
        self._waiting: Waiting | None = None
        self._waiting_told_at = 0.0
        self._total = 0
        self._unit: ProgressUnit = "steps"
        self._values: dict[str, float] = {}
        self._rows: list[str] = []

    def announce(self, total: int, unit: ProgressUnit) -> None:
        """Says what there is to do, before work begins."""
        self._total, self._unit = total, unit
        self._advance(0)
        self._write()

    def begin_work(self, at: float | None = None) -> None:
        """Marks where setup ends. `at` is given where the work begins in another process."""
        self._work_started_at = self._clock() if at is None else at

    def end_work(self, at: float | None = None) -> None:
        """Marks where the work ends."""
        self._work_ended_at = self._clock() if at is None else at

    def update(self, done: int, values: dict[str, float] | None = None) -> None:
        """Reports `done` of the total and the latest values; raises Superseded when the folder changed hands."""
        if done > self._done and self._clock() - self._waiting_told_at > _SILENT_WATCH_SECONDS:
            # What an earlier attempt did, and work before the work, count too: the cluster's watch knows better, as
            # long as it sees anything.
            self._waiting = None
        if done != self._done or any(self._values.get(name) != value for name, value in (values or {}).items()):
            self._advance(done)
        self._values.update(values or {})
        if done >= self._total or self._clock() - self._written_at >= self._interval_seconds:
            self.check_still_ours()
            self._write()

    def wait_for(self, waiting: Waiting | None) -> None:
        """Reports why the work cannot begin, or that it can. A stage that waits is not taken for a hung one."""
        self._waiting = waiting
        self._waiting_told_at = self._advanced_at = self._clock()
        self.check_still_ours()
        self._write()

    @property
    def waiting(self) -> Waiting | None:
        """The wait that progress tells of. The watch says it again where it was taken back for its silence."""
        return self._waiting

    @property
    def works_itself(self) -> bool:
        """Whether the driver is at work that needs none of the cluster's resources."""
        return self._alive_at is not None and self._clock() - self._alive_at < _AT_WORK_SECONDS

    def pause_requested(self) -> bool:
        """Whether the service wants the stage to end at its next unit. Looks at most every `interval_seconds`."""
        control = self._read_control()
        return control is not None and control.command == "pause"

    def pause_if_asked(self) -> None:
        """What a stage calls at the end of each unit of its work; raises Paused."""
        if self.pause_requested():
            raise Paused(f"paused at {self._done} of {self._total} {self._unit}")

    def still_alive(self) -> None:
        """What work without a counter calls now and then, as it advances; raises Superseded as `update` does."""
        self._alive_at = self._advanced_at = self._clock()
        if self._clock() - self._written_at >= self._interval_seconds:
            self.check_still_ours()
            self._write()

    def log_row(self, step: int, values: dict[str, float]) -> None:
        """Adds a metric row. Callers keep rows to some hundreds an attempt: the file is rewritten each time."""
        row = {"attempt": self._spec.attempt, "step": step, "at": self._clock(), "values": values}
        self._rows.append(json.dumps(row))
        write_bytes(
            join_uri(self._spec.folder_uri, metrics_name(self._spec.attempt)), "\n".join(self._rows).encode() + b"\n"
        )

    def check_still_ours(self) -> None:
        """Raises Superseded where a later attempt than this one has a spec, or this one is over.

        Specs are only ever added: whatever a late reconciler writes, the folder never goes back to an earlier attempt.
        """
        names = list_files(join_uri(self._spec.folder_uri, SPECS_FOLDER))
        latest = max((attempt_of_spec(name) or 0 for name in names), default=0)
        if latest > self._spec.attempt:
            raise Superseded(f"attempt {latest} owns {self._spec.folder_uri}, and no longer {self._spec.attempt}")
        control = self._read_control()
        if control is not None and control.command == "stop":
            raise Superseded(f"attempt {self._spec.attempt} of {self._spec.folder_uri} is over")

    def timing(self) -> StageTiming:
        """When the process began and when its work did. Marks still missing are taken to be now."""
        now = self._clock()
        started = self._work_started_at if self._work_started_at is not None else now
        ended = self._work_ended_at if self._work_ended_at is not None else now
        return StageTiming(entered_at=self._entered_at, work_started_at=started, work_ended_at=ended)

    def _advance(self, done: int) -> None:
        self._done = done
        self._advanced_at = self._clock()

    def _read_control(self) -> StageControl | None:
        if self._clock() - self._control_read_at >= self._interval_seconds:
            data = read_bytes_if_there(join_uri(self._spec.folder_uri, control_name(self._spec.attempt)))
            self._control = None if data is None else StageControl.model_validate_json(data)
            self._control_read_at = self._clock()
        return self._control

    def _write(self) -> None:
        progress = Progress(
            attempt=self._spec.attempt,
            done=self._done,
            total=self._total,
            unit=self._unit,
            entered_at=self._entered_at,
            work_started_at=self._work_started_at,
            updated_at=self._clock(),
            advanced_at=self._advanced_at,
            values=self._values,
            waiting=self._waiting,
        )
        write_bytes(join_uri(self._spec.folder_uri, PROGRESS_FILE), progress.model_dump_json().encode())
        self._written_at = self._clock()
