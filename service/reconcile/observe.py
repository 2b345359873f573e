"""Looks at the open attempt of a run: its result, its failure, and what Ray says of its job."""

import json
from typing import Any

from pydantic import ValidationError

from service.artifact_layout import ArtifactLayout
from service.errors import RayUnavailable
from service.ray_jobs import JobInfo, RayJobs
from service.snapshots import ENDED_JOBS, NOTHING_OBSERVED, JobStatus, Observed, RunSnapshot, StageSnapshot
from service.store.run_store import submission_id
from workers.artifact_io import read_bytes_if_there
from workers.specs.stages import STAGE_RESULT, AnyStageResult, FailureReason, Progress, StageFailure


class Observer:
    """Reads the artifact store and Ray's jobs API, and changes neither."""

    def __init__(self, layout: ArtifactLayout, ray_jobs: RayJobs) -> None:
        self._layout = layout
        self._ray_jobs = ray_jobs

    def observe(self, run: RunSnapshot) -> Observed:
        """What there is to see of the run's open attempt, if it has one."""
        stage = run.current_stage
        if stage is None or stage.open_attempt is None:
            return NOTHING_OBSERVED
        attempt = stage.open_attempt.number
        # The result first: once it is there, Ray need not be asked at all.
        files = self._read_files(run.run_id, stage, attempt)
        if files.result is not None:
            return files
        job = self._job(submission_id(run.run_id, stage.generation, stage.name, attempt))
        if job.status is JobStatus.UNKNOWN or job.status in ENDED_JOBS:
            # The job may have written its result and ended since the files were read.
            files = self._read_files(run.run_id, stage, attempt)
        progress = None
        if job.status is JobStatus.RUNNING:
            progress = self._read_progress(run.run_id, stage, attempt)
        return Observed(job.status, job.message, files.result, files.failure, progress)

    def _read_progress(self, run_id: str, stage: StageSnapshot, attempt: int) -> Progress | None:
        data = _of_attempt(read_bytes_if_there(self._layout.progress(run_id, stage.generation, stage.name)), attempt)
        try:
            return None if data is None else Progress.model_validate_json(data)
        except ValidationError:
            return None  # written by another version: as good as nothing said

    def _job(self, job_id: str) -> JobInfo:
        try:
            return self._ray_jobs.status(job_id)
        except RayUnavailable as error:
            return JobInfo(JobStatus.UNAVAILABLE, str(error))

    def _read_files(self, run_id: str, stage: StageSnapshot, attempt: int) -> Observed:
        result_uri = self._layout.result(run_id, stage.generation, stage.name)
        result = _of_attempt(read_bytes_if_there(result_uri), attempt)
        if result is not None:
            try:
                return Observed(result=_parse_result(result, stage))
            except ValueError as error:
                message = f"{result_uri} cannot be read: {error}"
                return Observed(
                    failure=StageFailure(attempt=attempt, reason=FailureReason.STAGE_ERROR, message=message)
                )
        failure_uri = self._layout.failure(run_id, stage.generation, stage.name)
        failure = _of_attempt(read_bytes_if_there(failure_uri), attempt)
        return Observed(failure=None if failure is None else _parse_failure(failure, attempt))


def _of_attempt(data: bytes | None, attempt: int) -> bytes | None:
    """The file, if it is of this attempt: an earlier attempt's stays where it was."""
    if data is None:
        return None
    try:
        value: Any = json.loads(data)
    except ValueError:
        return None
    return data if isinstance(value, dict) and value.get("attempt") == attempt else None


def _parse_result(data: bytes, stage: StageSnapshot) -> AnyStageResult:
    result = STAGE_RESULT.validate_json(data)
    if result.stage != stage.name:
        raise ValueError(f"it is the result of a {result.stage} stage")
    return result


def _parse_failure(data: bytes, attempt: int) -> StageFailure:
    try:
        failure = StageFailure.model_validate_json(data)
    except ValidationError as error:
        message = f"failure.json cannot be read: {error}"
        return StageFailure(attempt=attempt, reason=FailureReason.STAGE_ERROR, message=message)
    # PostgreSQL takes no zero characters in a text.
    return failure.model_copy(update={"message": failure.message.replace("\0", "")})
