"""Reads the end of an attempt's log: from Ray while Ray has the job, and from the artifact root afterwards."""

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.ray_client.jobs import RayJobs
from service.views.runs import AttemptView, LogTail
from workers.artifact_io import read_bytes_if_there

_SHOWN_BYTES = 4 << 20


class LogReader:
    """Reads attempts' logs. Thread-safe."""

    def __init__(self, layout: ArtifactLayout, ray_jobs: RayJobs) -> None:
        self._layout = layout
        self._ray_jobs = ray_jobs

    def tail(self, key: StageKey, attempt: AttemptView, lines: int) -> LogTail:
        """Returns up to `lines` last lines of the log, out of its last few megabytes.

        Raises RayUnavailable if only Ray can have the log and does not answer. Raises ArtifactStoreUnavailable.
        """
        answer = LogTail(attempt=attempt.number, submission_id=attempt.submission_id, lines=[], source=None)
        if not attempt.log_saved:
            log = self._of_ray(attempt)
            if log is not None:
                return answer.model_copy(update={"source": "ray", "lines": _last(log, lines)})
        # Even if the attempt's row does not say that the log is saved: it may have been saved a moment ago.
        with artifact_store():
            saved = read_bytes_if_there(self._layout.job_log(key, attempt.number))
        if saved is not None:
            return answer.model_copy(update={"source": "artifact_root", "lines": _last(saved, lines)})
        return answer.model_copy(update={"note": _nothing(attempt)})

    def _of_ray(self, attempt: AttemptView) -> bytes | None:
        if attempt.dashboard_url is None:
            return None  # not submitted yet, or closed
        return self._ray_jobs.log_end(attempt.submission_id, _SHOWN_BYTES)


def _last(log: bytes, lines: int) -> list[str]:
    return log.decode(errors="replace").splitlines()[-lines:]


def _nothing(attempt: AttemptView) -> str:
    if attempt.submitted_at is None:
        return "its Ray job has not been submitted"
    return "Ray no longer knows the job, and its log had not been saved: the head has died meanwhile"
