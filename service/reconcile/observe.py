"""Observes the open attempts of all active runs: first their Ray jobs, then their files."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable
from service.lifecycle.snapshots import NOTHING_OBSERVED, Observed, RunSnapshot
from service.ray_client.job_status import ENDED_JOBS, JobStatus
from service.ray_client.jobs import JobInfo
from service.reconcile.job_statuses import JobStatuses
from service.reconcile.stage_files import AttemptFiles, OpenAttempt, StageFiles
from service.reconcile.waits import WaitReason

_OVER = ENDED_JOBS | {JobStatus.UNKNOWN}


@dataclass(frozen=True)
class RunObservation:
    """The observation of a run's open attempt, and what prevented the observer from seeing more."""

    observed: Observed
    hindrance: tuple[WaitReason, str] | None = None


class Observer:
    """Observes runs. It reads Ray's jobs API and the artifact store, and changes neither."""

    def __init__(self, files: StageFiles, job_statuses: JobStatuses) -> None:
        self._files = files
        self._job_statuses = job_statuses

    def observe(self, runs: Sequence[RunSnapshot]) -> dict[str, RunObservation]:
        """Returns the observations of the runs' open attempts, by run id."""
        attempts = [attempt for run in runs if (attempt := _open_attempt(run)) is not None]
        # Ask Ray first: a job that has ended by then has already written its files.
        jobs = self._job_statuses.of(attempts)
        ended = [attempt for attempt in attempts if jobs[attempt.job_id].status in _OVER]
        running = [
            attempt for attempt in attempts if jobs[attempt.job_id].status in (JobStatus.RUNNING, JobStatus.UNAVAILABLE)
        ]
        outcomes = self._files.outcomes(running, ended)
        looks = {run.run_id: RunObservation(NOTHING_OBSERVED) for run in runs}
        for attempt in attempts:
            looks[attempt.run_id] = _look(jobs[attempt.job_id], outcomes.get(attempt.job_id))
        return looks

    def forget_all_but(self, runs: Sequence[RunSnapshot]) -> None:
        """Forgets the attempts that are not open attempts of these runs: they are over."""
        self._files.forget_all_but({attempt.job_id for run in runs if (attempt := _open_attempt(run)) is not None})


def _open_attempt(run: RunSnapshot) -> OpenAttempt | None:
    stage = run.current_stage
    if stage is None or stage.open_attempt is None:
        return None
    number, key = stage.open_attempt.number, StageKey(run.run_id, stage.generation, stage.name)
    return OpenAttempt(run.run_id, stage, number, key.submission_id(number))


def _look(job: JobInfo, outcome: AttemptFiles | ArtifactStoreUnavailable | None) -> RunObservation:
    if isinstance(outcome, ArtifactStoreUnavailable):
        hindrance = (WaitReason.ARTIFACT_STORE, str(outcome))
        # An ended job may have left a result that cannot be read yet, so its end alone proves nothing.
        return RunObservation(NOTHING_OBSERVED if job.status in _OVER else _observed(job, None), hindrance)
    silent = job.status is JobStatus.UNAVAILABLE and job.message
    return RunObservation(_observed(job, outcome), (WaitReason.RAY, job.message) if silent else None)


def _observed(job: JobInfo, outcome: AttemptFiles | None) -> Observed:
    if outcome is None:
        return Observed(job.status, job.message, files_seen=False)
    return Observed(job.status, job.message, outcome.result, outcome.failure, outcome.progress)
