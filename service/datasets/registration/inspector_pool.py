"""A pool of inspector processes that keeps a few healthy ones for the next dataset."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from service.config.inspector_limits import InspectorLimits
from service.datasets.registration.inspector_process import InspectionFailed, InspectorProcess
from service.datasets.registration.messages import (
    DatasetSummary,
    InspectionJob,
    Job,
    LabelsAnswer,
    LabelsJob,
    LookAnswer,
    LookJob,
    PictureAnswer,
    PictureJob,
    Refusal,
    StoreFailure,
)
from service.errors import ArtifactStoreUnavailable, InvalidRequest
from service.views.looks import DatasetLook

_MOST_JOBS = 100
_MOST_IDLE_BYTES = 400 << 20
"""A process that holds more memory than this after a job is not kept."""


class InspectorPool:
    """Inspector processes. Thread-safe. Each calling thread gets one; at most `kept` idle ones wait for more jobs."""

    def __init__(self, limits: InspectorLimits, kept: int) -> None:
        self._limits = limits
        self._kept = kept
        self._lock = Lock()
        self._idle: list[InspectorProcess] = []
        self._closed = False
        # A single thread that lives as long as the pool starts all processes: the kernel ends a child together with
        # the *thread* that started it, and the threads that answer requests come and go.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inspector-starter")

    def start(self) -> None:
        """Starts one process, so that the first registration does not wait for its imports."""
        self._give_back(self._new())

    def inspect(self, job: InspectionJob) -> DatasetSummary:
        """Inspects a dataset and writes its manifest, hashes and parts. Returns the summary to record.

        Raises InvalidRequest for an unusable dataset, and if the process crashes or takes too much memory or time.
        Raises ArtifactStoreUnavailable. After an error the caller deletes what was written.
        """
        answer = self._answered(job)
        assert isinstance(answer, DatasetSummary)
        return answer

    def look(self, job: LookJob) -> DatasetLook:
        """Looks at a place and writes nothing.

        Raises InvalidRequest if there is nothing, and if the process crashes or takes too much memory or time.
        """
        answer = self._answered(job)
        assert isinstance(answer, LookAnswer)
        return answer.look

    def picture(self, job: PictureJob) -> PictureAnswer:
        """Reads one image and encodes it again. Raises InvalidRequest if it cannot be read, or takes too much."""
        answer = self._answered(job)
        assert isinstance(answer, PictureAnswer)
        return answer

    def check_labels(self, job: LabelsJob) -> int:
        """Reads a table of labels to its end and returns their number. Raises InvalidRequest for one that is unusable,
        and if that takes too much memory or time."""
        answer = self._answered(job)
        assert isinstance(answer, LabelsAnswer)
        return answer.labels

    def close(self) -> None:
        """Ends all processes. Those at work end with the thread that started them; their callers get InvalidRequest."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()
        self._starter.shutdown()

    def _answered(self, job: Job) -> DatasetSummary | LookAnswer | PictureAnswer | LabelsAnswer:
        process = self._taken() or self._new()
        try:
            answer = process.ask(job)
        except InspectionFailed as error:
            place = _place(job)
            raise InvalidRequest("uri", f"{place}: {error}") from error
        self._give_back(process)
        if isinstance(answer, Refusal):
            raise InvalidRequest(answer.field, answer.message)
        if isinstance(answer, StoreFailure):
            raise ArtifactStoreUnavailable(f"the artifact store: {answer.message}")
        return answer

    def _new(self) -> InspectorProcess:
        return self._starter.submit(InspectorProcess, self._limits).result()

    def _taken(self) -> InspectorProcess | None:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                process.close()
        return None

    def _give_back(self, process: InspectorProcess) -> None:
        is_sound = process.jobs < _MOST_JOBS and process.resident_bytes < _MOST_IDLE_BYTES
        with self._lock:
            if is_sound and not self._closed and len(self._idle) < self._kept:
                self._idle.append(process)
                return
        process.close()


def _place(job: Job) -> str:
    match job:
        case PictureJob():
            return job.manifest_uri
        case LabelsJob():
            return job.table.uri
        case _:
            return job.request.uri
