"""Reports a stage's progress, metric rows and timing in files beside its result, and fences off old attempts."""

import json
import time
from collections.abc import Callable

from workers.artifact_io import join_uri, list_files, read_bytes_if_there, write_bytes
from workers.runtime.stage_figures import StageFigures
from workers.specs.devices import Devices
from workers.specs.reports import FailureReason, MetricRow, Progress, ProgressUnit, StageControl, Waiting
from workers.specs.results import StageTiming
from workers.specs.stages import PROGRESS_FILE, SPECS_FOLDER, AnyStageSpec, attempt_of_spec, control_name, metrics_name

_AT_WORK_SECONDS = 10.0
"""How long the driver counts as being at work after it said so. A large shard takes some seconds."""
_SILENT_WATCH_SECONDS = 30.0
"""The watch of the cluster repeats a wait more often than this. If it is silent for longer, it sees nothing."""


class StageError(Exception):
    """A stage cannot go on. The reason decides whether the service tries again."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        # Both go to args, so that the error survives pickling on its way through Ray.
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class Superseded(Exception):
    """The attempt is over, or a newer one owns the stage's folder. The stage must stop without writing anything."""


class Paused(Exception):
    """The service wants the stage to pause, and the stage has reached the end of a unit of its work."""


class StageReporter:
    """Writes progress.json at most every `interval_seconds`. Raises Superseded once a newer attempt owns the folder.

    What progress.json says of speed and quality, Prometheus learns through Ray at the same moments.
    `clock` returns Unix seconds. The reporter is not thread-safe: each driver has one.
    """

    def __init__(
        self,
        spec: AnyStageSpec,
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
        self.gpus_each: float | None = None
        """What progress says of the attempt's GPUs."""
        self.devices: Devices | None = None
        """What all reports of the attempt say that it is charged for."""
        self.workers: int | None = None
        """What progress says of the number of workers."""
        self._total = 0
        self._unit: ProgressUnit = "steps"
        self._values: dict[str, float] = {}
        self._rows: list[str] = []
        self._figures = StageFigures(spec.run_id, spec.generation, spec.stage)

    def announce(self, total: int, unit: ProgressUnit) -> None:
        """Says how much there is to do, and in which unit it is counted, before work begins."""
        self._total, self._unit = total, unit
        self._advance(0)
        self._write()

    def begin_work(self, at: float | None = None) -> None:
        """Marks the end of the set-up. `at` (Unix seconds) is given if the work begins in another process."""
        self._work_started_at = self._clock() if at is None else at

    def end_work(self, at: float | None = None) -> None:
        """Marks the end of the work."""
        self._work_ended_at = self._clock() if at is None else at

    def update(self, done: int, values: dict[str, float] | None = None) -> None:
        """Reports how much is done, and the latest values. Raises Superseded if a newer attempt owns the folder."""
        if done > self._done and self._clock() - self._waiting_told_at > _SILENT_WATCH_SECONDS:
            # Work of an earlier attempt, and preparations, count too: as long as the cluster's watch sees anything, it
            # knows better whether the stage waits.
            self._waiting = None
        if done != self._done or any(self._values.get(name) != value for name, value in (values or {}).items()):
            self._advance(done)
        self._values.update(values or {})
        if done >= self._total or self._clock() - self._written_at >= self._interval_seconds:
            self.check_still_ours()
            self._write()

    def wait_for(self, waiting: Waiting | None) -> None:
        """Reports why the work cannot begin, or with None that it can. A waiting stage does not count as hung."""
        self._waiting = waiting
        self._waiting_told_at = self._advanced_at = self._clock()
        self.check_still_ours()
        self._write()

    @property
    def waiting(self) -> Waiting | None:
        """The wait that progress.json reports now. An update removes it if the watch has been silent for too long."""
        return self._waiting

    @property
    def works_itself(self) -> bool:
        """Whether the driver itself is at work, which needs no resources of the cluster."""
        return self._alive_at is not None and self._clock() - self._alive_at < _AT_WORK_SECONDS

    def pause_requested(self) -> bool:
        """Whether the service wants the stage to end after this unit. Looks at most every `interval_seconds`."""
        control = self._read_control()
        return control is not None and control.command == "pause"

    def pause_if_asked(self) -> None:
        """Raises Paused if the service wants a pause. A stage calls it at the end of each unit of its work."""
        if self.pause_requested():
            raise Paused(f"paused at {self._done} of {self._total} {self._unit}")

    def still_alive(self) -> None:
        """Reports that work without a counter advances. It calls this now and then. Raises Superseded like `update`."""
        self._alive_at = self._advanced_at = self._clock()
        if self._clock() - self._written_at >= self._interval_seconds:
            self.check_still_ours()
            self._write()

    def log_row(self, step: int, values: dict[str, float]) -> None:
        """Adds a metric row. An attempt should add no more than some hundreds: each time the whole file is written."""
        row = MetricRow(attempt=self._spec.attempt, step=step, at=self._clock(), values=values)
        self._rows.append(json.dumps(row.model_dump()))
        write_bytes(self._rows_uri, "\n".join(self._rows).encode() + b"\n")

    def keep_rows(self, until_step: int) -> None:
        """Keeps the rows that earlier workers of this attempt logged, up to the step that this one continues from.

        Without it, the first row after a lost worker would replace all those before.
        """
        logged = (read_bytes_if_there(self._rows_uri) or b"").decode().splitlines()
        self._rows = [row for row in logged if json.loads(row)["step"] <= until_step]

    @property
    def _rows_uri(self) -> str:
        return join_uri(self._spec.folder_uri, metrics_name(self._spec.attempt))

    def check_still_ours(self) -> None:
        """Raises Superseded if a later attempt has a spec, or if this attempt is over.

        Specs are only ever added: whatever a late reconciler writes, an earlier attempt never owns the folder again.
        """
        latest = latest_attempt(self._spec.folder_uri)
        if latest > self._spec.attempt:
            raise Superseded(f"attempt {latest} owns {self._spec.folder_uri}, and no longer {self._spec.attempt}")
        control = self._read_control()
        if control is not None and control.command == "stop":
            raise Superseded(f"attempt {self._spec.attempt} of {self._spec.folder_uri} is over")

    def timing(self) -> StageTiming:
        """When the process began, and when its work began and ended (Unix seconds). A missing mark counts as now."""
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
            workers=self.workers,
            gpus_each=self.gpus_each,
            devices=self.devices,
        )
        write_bytes(join_uri(self._spec.folder_uri, PROGRESS_FILE), progress.model_dump_json().encode())
        self._figures.show(self._values)
        self._written_at = self._clock()


def latest_attempt(folder_uri: str) -> int:
    """The number of the attempt that owns a stage's folder; 0 if there is none."""
    names = list_files(join_uri(folder_uri, SPECS_FOLDER))
    return max((attempt_of_spec(name) or 0 for name in names), default=0)
