"""What Ray says of the jobs of open attempts: one list of all where there are many, a question a job where not."""

import time
from collections.abc import Callable, Sequence

from service.errors import RayDoesNotAnswer, RayUnavailable
from service.lifecycle.states import AttemptState
from service.ray_client.job_status import JobStatus
from service.ray_client.jobs import JobInfo, RayJobs
from service.reconcile.stage_files import OpenAttempt

LIST_FROM = 8
"""From so many jobs on, a list may be quicker than a question a job."""
LISTED_IN_ONE_QUESTIONS_TIME = 8
"""Jobs of any kind, ended ones too, that Ray 2.60 lists while it answers one question: 1.1 ms each, and 9 ms."""
COUNT_HOLDS_SECONDS = 60.0
"""How long the number of jobs that Ray knew when it listed them is trusted."""
SLOW_LIST_SECONDS = 0.2
LIST_RESTS = 3
"""A slow list is used for so many times as long as it took: Ray's dashboard has other things to do as well."""
LOST_AFTER_SECONDS = 10.0
"""Ray has to say for so long that it does not know a job: one that is taken for lost, and is not, runs twice."""
CONFIRMED_AT_ONCE = 50
"""Jobs missing from the list that are asked for by name in one tick, before they are taken for lost."""


class JobStatuses:
    """Remembers the last list for as long as it rests, and since when jobs are missing. Changes nothing in Ray.

    `monotonic` is in seconds.
    """

    def __init__(self, ray_jobs: RayJobs, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ray_jobs = ray_jobs
        self._monotonic = monotonic
        self._listed: dict[str, JobInfo] = {}
        self._listed_at = float("-inf")
        self._rests_until = float("-inf")
        self._missing_since: dict[str, float] = {}

    def of(self, attempts: Sequence[OpenAttempt]) -> dict[str, JobInfo]:
        """By job id. UNAVAILABLE with a message where Ray does not answer; without one where it was not asked yet, or
        says since a moment ago that it does not know a job that was submitted."""
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
        # One that is being submitted may well be missing: Ray refuses its id, should it have the job after all.
        new = [attempt.job_id for attempt in missing if _is_submitting(attempt)]
        lost = [attempt.job_id for attempt in missing if not _is_submitting(attempt)]
        return {
            **dict.fromkeys(new, JobInfo(JobStatus.UNKNOWN)),
            **dict.fromkeys(lost[CONFIRMED_AT_ONCE:], JobInfo(JobStatus.UNAVAILABLE)),
            **self._one_by_one(lost[:CONFIRMED_AT_ONCE]),
            **found,
        }

    def _is_list_too_long_for(self, wanted: int) -> bool:
        """Whether Ray knows so many jobs beside the wanted ones that asking for those is quicker."""
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
        """Stops asking when Ray does not answer: each question would wait for its timeout."""
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
