"""Finds where an attempt's Ray job is to be seen: in Ray's dashboard while Ray has it, afterwards in its saved log."""

from dataclasses import dataclass

from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable, RayUnavailable
from service.ray_client.job_status import JobStatus
from service.ray_client.jobs import RayJobs
from service.runs.logs import LogReader
from service.views.runs import AttemptView

LINES = 2_000
"""How many last lines of the log to show in place of the job."""


@dataclass(frozen=True)
class JobPlace:
    """Either the job's page in Ray's dashboard, or why there is none and what its log says."""

    dashboard_url: str | None
    sentence: str = ""
    lines: tuple[str, ...] = ()


class JobFinder:
    """Finds jobs. Thread-safe."""

    def __init__(self, ray_jobs: RayJobs, logs: LogReader) -> None:
        self._ray_jobs = ray_jobs
        self._logs = logs

    def find(self, key: StageKey, attempt: AttemptView, may_see_dashboard: bool) -> JobPlace:
        """Asks Ray whether it has the job: after a restart of the head, the service learns only later that it has not.

        `may_see_dashboard` says whether the caller may see the jobs of all projects, as the dashboard shows them.
        """
        if attempt.submitted_at is None:
            return JobPlace(None, "This attempt's Ray job has not been submitted.")
        if attempt.dashboard_url is None:
            return self._log(key, attempt, "Ray no longer has this job: its attempt is over.")
        try:
            known = self._ray_jobs.status(attempt.submission_id).status is not JobStatus.UNKNOWN
        except RayUnavailable:
            return self._log(key, attempt, "Ray does not answer at the moment.")
        if not known:
            return self._log(key, attempt, "Ray does not know this job: its head was restarted, or the job is over.")
        if not may_see_dashboard:
            return self._log(key, attempt, "Ray's dashboard shows the jobs of all projects, and yours are limited.")
        return JobPlace(attempt.dashboard_url)

    def _log(self, key: StageKey, attempt: AttemptView, why: str) -> JobPlace:
        try:
            tail = self._logs.tail(key, attempt, LINES)
        except RayUnavailable:
            return JobPlace(None, f"{why} The job's log is not saved yet.")
        except ArtifactStoreUnavailable:
            return JobPlace(None, f"{why} The artifact store, where its log may be, does not answer.")
        if tail.source is None:
            return JobPlace(None, f"{why} Its log was not saved.")
        where = "This is its saved log" if tail.source == "artifact_root" else "This is its log so far"
        return JobPlace(None, f"{why} {where}, up to {LINES:,} last lines.", tuple(tail.lines))
