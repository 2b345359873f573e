"""Closes the Ray jobs of ended attempts: stops those that linger, saves their logs, then deletes them.

A Ray head loses logs and jobs when it dies, and each job takes some of its memory, so the service keeps the history
itself. This loop runs next to the reconciler and blocks nothing. It needs no lease, because every step can be repeated.
"""

import logging
import threading
from collections.abc import Callable

from service.artifacts.layout import ArtifactLayout
from service.background import repeat
from service.config.settings.groups import RaySettings
from service.errors import RayUnavailable
from service.ray_client.job_status import ENDED_JOBS, JobStatus
from service.ray_client.jobs import RayJobs
from service.reconcile.ended_attempts import EndedAttempt, attempts_with_jobs, close_job, mark_log_saved
from service.store.database import Database
from workers.artifact_io import write_bytes
from workers.specs.reports import StageControl
from workers.telemetry.logs import log_context

logger = logging.getLogger("service.reconcile")

LINGER_SECONDS = 30.0
"""How long after the end of its attempt a job may take to end by itself before it is stopped."""
SETTLE_SECONDS = 10.0
"""How long after its end was first seen a job is deleted. Ray's monitor looks at a job once a second, or less often on
a busy head, and would write a job that has just been deleted back as FAILED."""
LATE_SECONDS = 120.0
"""How long after the end of its attempt a job that Ray does not know counts as gone. Before that, Ray may only have
forgotten it for a moment, or a delayed reconciler may still submit it."""
_STOP_AGAIN_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 60.0
_AT_ONCE = 200
"""How many attempts to look at in one round."""
_PAUSE_SECONDS = 1.0


class JobCloser:
    """Closes jobs. `clock` returns Unix seconds."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        ray: RaySettings,
        ray_jobs: RayJobs,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._layout = layout
        self._max_log_bytes = int(ray.job_log_mib * 2**20)
        self._ray_jobs = ray_jobs
        self._clock = clock
        self._look_again_at: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._ended_at: dict[str, float] = {}

    def run_until(self, stop: threading.Event) -> None:
        """Repeats rounds until `stop` is set."""
        repeat(self.close_jobs, "closing jobs", stop, _PAUSE_SECONDS)

    def close_jobs(self) -> None:
        """Makes one round over all attempts that are due. If closing one fails, a later round tries again."""
        with self._database.read() as session:
            ended = attempts_with_jobs(session, _AT_ONCE + len(self._look_again_at))
        waiting = {attempt.submission_id for attempt in ended}
        for notes in (self._look_again_at, self._pauses, self._ended_at):
            for job in notes.keys() - waiting:
                del notes[job]
        for attempt in ended:
            if self._look_again_at.get(attempt.submission_id, 0.0) > self._clock():
                continue
            with log_context(
                run=attempt.run_id, generation=attempt.generation, stage=attempt.stage, attempt=attempt.number
            ):
                try:
                    self._close(attempt)
                except RayUnavailable as error:
                    # The other attempts would wait for the same answer.
                    self._put_off(attempt, str(error))
                    return
                except Exception as error:
                    self._put_off(attempt, f"{type(error).__name__}: {error}")

    def _close(self, attempt: EndedAttempt) -> None:
        job = self._ray_jobs.status(attempt.submission_id)
        if job.status is JobStatus.UNKNOWN:
            self._close_unknown(attempt)
        elif job.status in ENDED_JOBS:
            self._close_ended(attempt)
        elif self._clock() - attempt.finished_at >= LINGER_SECONDS:
            logger.warning("%s: its stage is over, but not the job; stopping it", attempt.submission_id)
            self._ray_jobs.stop(attempt.submission_id)
            self._look_again_at[attempt.submission_id] = self._clock() + _STOP_AGAIN_SECONDS

    def _close_unknown(self, attempt: EndedAttempt) -> None:
        # Ray may have lost a job whose driver is still alive. This file tells the driver that its attempt is over.
        control = self._layout.control(attempt.key, attempt.number)
        write_bytes(control, StageControl(command="stop").model_dump_json().encode())
        if self._clock() - attempt.finished_at < LATE_SECONDS:
            self._look_again_at[attempt.submission_id] = self._clock() + _STOP_AGAIN_SECONDS
        else:
            self._mark_closed(attempt)

    def _close_ended(self, attempt: EndedAttempt) -> None:
        job = attempt.submission_id
        if job not in self._ended_at:
            # Do not wait with the log: the head may die while the job settles.
            self._save_log(attempt)
            self._ended_at[job] = self._clock()
        settled_at = self._ended_at[job] + SETTLE_SECONDS
        if self._clock() < settled_at:
            self._look_again_at[job] = settled_at
            return
        self._ray_jobs.delete(job)
        self._mark_closed(attempt)

    def _save_log(self, attempt: EndedAttempt) -> None:
        log = self._ray_jobs.log_end(attempt.submission_id, self._max_log_bytes)
        if log is None:
            return  # another process has just saved the log and deleted the job
        write_bytes(self._layout.job_log(attempt.key, attempt.number), log)
        with self._database.write() as session:
            mark_log_saved(session, attempt.submission_id)

    def _mark_closed(self, attempt: EndedAttempt) -> None:
        with self._database.write() as session:
            close_job(session, attempt.submission_id, self._clock())

    def _put_off(self, attempt: EndedAttempt, why: str) -> None:
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * self._pauses.get(attempt.submission_id, _PAUSE_SECONDS / 2))
        logger.info("%s: its job is not closed yet, %s", attempt.submission_id, why)
        self._pauses[attempt.submission_id] = pause
        self._look_again_at[attempt.submission_id] = self._clock() + pause
