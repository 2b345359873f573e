"""Looks at the open attempts of all active runs: what Ray says of their jobs, then what they have left."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import ArtifactStoreUnavailable, RayDoesNotAnswer, RayUnavailable
from service.ray_jobs import JobInfo, RayJobs
from service.reconcile.stage_files import OpenAttempt, Outcome, StageFiles
from service.reconcile.waits import WaitReason
from service.snapshots import ENDED_JOBS, NOTHING_OBSERVED, JobStatus, Observed, RunSnapshot
from service.states import AttemptState
from service.store.run_store import submission_id

LIST_FROM = 8
"""From so many jobs on, one list of all is quicker than a question a job: benchmarks/RESULTS.md."""
CONFIRMED_AT_ONCE = 50
"""Jobs missing from the list that are asked for by name in one tick, before they are taken for lost."""
_OVER = ENDED_JOBS | {JobStatus.UNKNOWN}


@dataclass(frozen=True)
class Look:
    """What was seen of a run, and what kept the observer from seeing more."""

    observed: Observed
    hindrance: tuple[WaitReason, str] | None = None


class Observer:
    """Reads Ray's jobs API and the artifact store, and changes neither."""

    def __init__(self, files: StageFiles, ray_jobs: RayJobs) -> None:
        self._files = files
        self._ray_jobs = ray_jobs

    def observe(self, runs: Sequence[RunSnapshot]) -> dict[str, Look]:
        """By run id, what there is to see of the runs' open attempts."""
        attempts = [attempt for run in runs if (attempt := _open_attempt(run)) is not None]
        # Ray first: a job that has ended had written its files before.
        jobs = self._jobs(attempts)
        ended = [attempt for attempt in attempts if jobs[attempt.job_id].status in _OVER]
        running = [
            attempt for attempt in attempts if jobs[attempt.job_id].status in (JobStatus.RUNNING, JobStatus.UNAVAILABLE)
        ]
        outcomes = self._files.outcomes(running, ended)
        looks = {run.run_id: Look(NOTHING_OBSERVED) for run in runs}
        for attempt in attempts:
            looks[attempt.run_id] = _look(jobs[attempt.job_id], outcomes.get(attempt.job_id))
        return looks

    def forget_all_but(self, runs: Sequence[RunSnapshot]) -> None:
        """Strikes what is remembered of attempts that are over."""
        self._files.forget_all_but({attempt.job_id for run in runs if (attempt := _open_attempt(run)) is not None})

    def _jobs(self, attempts: Sequence[OpenAttempt]) -> dict[str, JobInfo]:
        if len(attempts) < LIST_FROM:
            return self._one_by_one([attempt.job_id for attempt in attempts])
        try:
            listed = self._ray_jobs.statuses()
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


def _open_attempt(run: RunSnapshot) -> OpenAttempt | None:
    stage = run.current_stage
    if stage is None or stage.open_attempt is None:
        return None
    number = stage.open_attempt.number
    return OpenAttempt(run.run_id, stage, number, submission_id(run.run_id, stage.generation, stage.name, number))


def _is_submitting(attempt: OpenAttempt) -> bool:
    return attempt.stage.open_attempt is not None and attempt.stage.open_attempt.state is AttemptState.SUBMITTING


def _look(job: JobInfo, outcome: Outcome | ArtifactStoreUnavailable | None) -> Look:
    if isinstance(outcome, ArtifactStoreUnavailable):
        hindrance = (WaitReason.ARTIFACT_STORE, str(outcome))
        # A job that is over may have left a result that cannot be read yet: nothing may be concluded from its end.
        return Look(NOTHING_OBSERVED if job.status in _OVER else _observed(job, None), hindrance)
    silent = job.status is JobStatus.UNAVAILABLE and job.message
    return Look(_observed(job, outcome), (WaitReason.RAY, job.message) if silent else None)


def _observed(job: JobInfo, outcome: Outcome | None) -> Observed:
    if outcome is None:
        return Observed(job.status, job.message, files_seen=False)
    return Observed(job.status, job.message, outcome.result, outcome.failure, outcome.progress)
