"""Gets the statuses of open attempts' jobs from Ray: one list of all jobs if there are many, else one request each."""

import time
from collections.abc import Callable, Sequence

from service.errors import RayDoesNotAnswer, RayUnavailable
from service.lifecycle.states import AttemptState
from service.ray_client.job_status import JobStatus
from service.ray_client.jobs import JobInfo, RayJobs
from service.reconcile.stage_files import OpenAttempt

LIST_FROM = 8
"""From this number of jobs on, one list may be faster than one request per job."""
LISTED_IN_ONE_QUESTIONS_TIME = 8
"""How many jobs, including ended ones, Ray 2.60 lists in the time of one request: 1.1 ms per job against 9 ms."""
COUNT_HOLDS_SECONDS = 60.0
"""How long to rely on the number of jobs in the last list."""
SLOW_LIST_SECONDS = 0.2
LIST_RESTS = 3
"""A slow list is reused for this many times the seconds that it took, since Ray's dashboard has other work to do."""
LOST_AFTER_SECONDS = 10.0
"""How long Ray must say that it does not know a job before the job counts as lost. If a job counted as lost by mistake,
its stage would run twice."""
CONFIRMED_AT_ONCE = 50
"""How many jobs that are missing from the list one tick looks up by id before they count as lost."""


class JobStatuses:
    """Reads job statuses. Remembers the last list while it may be reused, and since when jobs are missing.

    It changes nothing at Ray. `monotonic` returns seconds that never go back.
    """

    def __init__(self, ray_jobs: RayJobs, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ray_jobs = ray_jobs
        self._monotonic = monotonic
        self._listed: dict[str, JobInfo] = {}
        self._listed_at = float("-inf")
        self._rests_until = float("-inf")
        self._missing_since: dict[str, float] = {}

    def of(self, attempts: Sequence[OpenAttempt]) -> dict[str, JobInfo]:
        """Returns the status of each attempt's job, by job id.

        The status is UNAVAILABLE with a message if Ray does not answer. It is UNAVAILABLE without a message if Ray was
        not asked yet, or if Ray began only a moment ago to report a submitted job as unknown.
        """
        now, found = self._monotonic(), self._ask(attempts)
        submitted = {attempt.job_id for attempt in attempts if not _is_submitting(attempt)}
        missing = {job_id for job_id in submitted if found[job_id].status is JobStatus.UNKNOWN}
        self._missing_since = {job_id: self._missing_since.get(job_id, now) for job_id in missing}
        recent = {job_id for job_id, since in self._missing_since.items() if now - since < LOST_AFTER_SECONDS}
        return {**found, **dict.fromkeys(recent, JobInfo(JobStatus.UNAVAILABLE))}

    def _ask(self, attempts: Sequence[OpenAttempt]) -> dict[str, JobInfo]:
        if len(attempts) < LIST_FROM or self._is_list_too_long_for(len(attempts)):
            return self._one_by_one([attempt.job_id for attempt in attempts])
        try:
            listed = self._list()
        except RayUnavailable as error:
            return {attempt.job_id: JobInfo(JobStatus.UNAVAILABLE, str(error)) for attempt in attempts}
        found = {attempt.job_id: listed[attempt.job_id] for attempt in attempts if attempt.job_id in listed}
        missing = [attempt for attempt in attempts if attempt.job_id not in listed]
        # A job that is being submitted may well be missing. If Ray has it after all, it refuses a second submit.
        new = [attempt.job_id for attempt in missing if _is_submitting(attempt)]
        lost = [attempt.job_id for attempt in missing if not _is_submitting(attempt)]
        return {
            **dict.fromkeys(new, JobInfo(JobStatus.UNKNOWN)),
            **dict.fromkeys(lost[CONFIRMED_AT_ONCE:], JobInfo(JobStatus.UNAVAILABLE)),
            **self._one_by_one(lost[:CONFIRMED_AT_ONCE]),
            **found,
        }

    def _is_list_too_long_for(self, wanted: int) -> bool:
        """Whether Ray knows so many other jobs that one request per wanted job is faster than a list."""
        is_count_known = self._monotonic() - self._listed_at < COUNT_HOLDS_SECONDS
        return is_count_known and wanted * LISTED_IN_ONE_QUESTIONS_TIME < len(self._listed)

    def _list(self) -> dict[str, JobInfo]:
        began_at = self._monotonic()
        if began_at >= self._rests_until:
            self._listed = self._ray_jobs.statuses()
            self._listed_at = self._monotonic()
            seconds = self._listed_at - began_at
            rest = LIST_RESTS * seconds if seconds > SLOW_LIST_SECONDS else 0.0
            self._rests_until = self._listed_at + rest
        return self._listed

    def _one_by_one(self, job_ids: Sequence[str]) -> dict[str, JobInfo]:
        """Asks for each job, and stops when Ray does not answer, since each further request would also time out."""
        found: dict[str, JobInfo] = {}
        silence: JobInfo | None = None
        for job_id in job_ids:
            try:
                found[job_id] = silence or self._ray_jobs.status(job_id)
            except RayDoesNotAnswer as error:
                found[job_id] = silence = JobInfo(JobStatus.UNAVAILABLE, str(error))
            except RayUnavailable as error:
                found[job_id] = JobInfo(JobStatus.UNAVAILABLE, str(error))
        return found


def _is_submitting(attempt: OpenAttempt) -> bool:
    return attempt.stage.open_attempt is not None and attempt.stage.open_attempt.state is AttemptState.SUBMITTING
