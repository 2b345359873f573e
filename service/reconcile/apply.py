"""Carries out actions. The lease fences every change of the database, and no transaction contains a network call."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.config.events import EventKind
from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable, RayDoesNotAnswer, RayUnavailable
from service.lifecycle.actions import (
    Action,
    BeginStopping,
    CreateAttempt,
    EndAttempt,
    EndRun,
    FinishGeneration,
    FinishStage,
    MarkSubmitted,
    PauseRun,
    RecordDevices,
    RecordWait,
    RequestPause,
    StopJob,
    SubmitAttempt,
)
from service.lifecycle.events import ATTEMPT_ENDED, RUN_ENDED
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.ray_client.jobs import JobRejected, RayJobs
from service.reconcile.attempt_reports import record_devices, record_wait
from service.reconcile.lease import fenced_write
from service.reconcile.promotion import judge_promotion
from service.reconcile.stage_records import make_next_stage_ready, record_result, set_running
from service.reconcile.submission import Submitter
from service.scheduling.quotas import charge_attempt
from service.store.database import Database
from service.store.run_store import add_event
from service.store.schema.tables import AttemptRow
from service.store.transitions import (
    set_attempt_state,
    set_generation_state,
    set_run_state,
    set_stage_state,
)
from workers.artifact_io import write_bytes
from workers.specs.devices import devices_of
from workers.specs.reports import FailureReason, StageControl

logger = logging.getLogger("service.reconcile")


class Applier:
    """Applies actions. Raises LeaseLost if another process reconciles, TransitionRefused if the state has changed."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        submitter: Submitter,
        ray_jobs: RayJobs,
        artifact_calls: ArtifactCalls,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._layout = layout
        self._submitter = submitter
        self._ray_jobs = ray_jobs
        self._artifact_calls = artifact_calls
        self._clock = clock

    def apply(self, run_id: str, token: int, action: Action) -> None:
        """Applies an action. RayUnavailable or ArtifactStoreUnavailable leave the state unchanged for the next tick."""
        match action:
            case CreateAttempt():
                self._create_attempt(run_id, token, action)
            case SubmitAttempt():
                self._submit(run_id, token, action)
            case MarkSubmitted():
                self._mark_submitted(action.key(run_id), token, action.attempt)
            case RequestPause():
                self._request_pause(run_id, token, action)
            case RecordDevices():
                with self._fenced(run_id, token) as (session, _):
                    record_devices(session, run_id, action)
            case RecordWait():
                with self._fenced(run_id, token) as (session, now):
                    record_wait(session, run_id, action, now)
            case BeginStopping():
                self._begin_stopping(run_id, token, action)
            case StopJob():
                self._stop_job(run_id, token, action)
            case EndAttempt():
                self._end_attempt(run_id, token, action)
            case FinishStage():
                self._finish_stage(run_id, token, action)
            case FinishGeneration():
                self._finish_generation(run_id, token, action)
            case PauseRun():
                self._pause_run(run_id, token)
            case EndRun():
                self._end_run(run_id, token, action)

    @contextmanager
    def _fenced(self, run_id: str, token: int) -> Iterator[tuple[Session, float]]:
        now = self._clock()
        with fenced_write(self._database, run_id, token, now) as session:
            yield session, now

    def _create_attempt(self, run_id: str, token: int, action: CreateAttempt) -> None:
        key = action.key(run_id)
        devices = devices_of(self._submitter.spec_of(key, action.attempt))
        with self._fenced(run_id, token) as (session, now):
            set_running(session, key)
            session.add(
                AttemptRow(
                    run_id=run_id,
                    generation=action.generation,
                    stage=action.stage,
                    number=action.attempt,
                    submission_id=key.submission_id(action.attempt),
                    state=AttemptState.SUBMITTING,
                    created_at=now,
                    devices=devices.count,
                    device_kind=devices.kind,
                )
            )

    def _submit(self, run_id: str, token: int, action: SubmitAttempt) -> None:
        key = action.key(run_id)
        try:
            self._submitter.submit(key, action.attempt)
        except JobRejected as error:
            reason = FailureReason.SUBMIT_FAILED
            ended = EndAttempt(action.generation, action.stage, action.attempt, reason, f"Ray refused the job: {error}")
            self._end_attempt(run_id, token, ended)
            return
        self._mark_submitted(key, token, action.attempt)

    def _mark_submitted(self, key: StageKey, token: int, attempt: int) -> None:
        job_id = key.submission_id(attempt)
        with self._fenced(key.run_id, token) as (session, now):
            set_attempt_state(session, job_id, AttemptState.SUBMITTED, submitted_at=now)
            add_event(session, key.run_id, now, EventKind.ATTEMPT_SUBMITTED, f"Ray job {job_id}", *key[1:], attempt)

    def _request_pause(self, run_id: str, token: int, action: RequestPause) -> None:
        key = action.key(run_id)
        self._tell_stage(key, action.attempt, StageControl(command="pause"))
        with self._fenced(run_id, token) as (session, now):
            job_id = key.submission_id(action.attempt)
            session.execute(update(AttemptRow).where(AttemptRow.submission_id == job_id).values(pause_requested_at=now))

    def _tell_stage(self, key: StageKey, attempt: int, control: StageControl) -> None:
        uri = self._layout.control(key, attempt)
        self._artifact_calls.one(uri, partial(write_bytes, uri, control.model_dump_json().encode()))

    def _leave_word_to_stop(self, key: StageKey, attempt: int) -> None:
        """Writes the file that makes a driver end. Ray cannot stop a job that has not started or that it does not know.

        A full artifact store does not block this: once the attempt is over, JobCloser keeps trying to write the file. A
        later attempt, to which this one would yield, cannot start before the store accepts its spec.
        """
        try:
            self._tell_stage(key, attempt, StageControl(command="stop"))
        except ArtifactStoreUnavailable as error:
            job_id = key.submission_id(attempt)
            logger.warning("%s: cannot be told to stop by a file: %s", job_id, error)

    def _begin_stopping(self, run_id: str, token: int, action: BeginStopping) -> None:
        with self._fenced(run_id, token) as (session, _):
            set_attempt_state(
                session,
                action.key(run_id).submission_id(action.attempt),
                AttemptState.STOPPING,
                failure_reason=action.reason,
                failure_message=action.message,
            )

    def _stop_job(self, run_id: str, token: int, action: StopJob) -> None:
        key = action.key(run_id)
        job_id = key.submission_id(action.attempt)
        self._leave_word_to_stop(key, action.attempt)
        self._ask_ray_to_stop(job_id)
        with self._fenced(run_id, token) as (session, now):
            first = func.coalesce(AttemptRow.stop_requested_at, now)
            session.execute(
                update(AttemptRow)
                .where(AttemptRow.submission_id == job_id)
                .values(stop_requested_at=first, stop_asked_at=now)
            )

    def _ask_ray_to_stop(self, job_id: str) -> None:
        """Asks Ray to stop the job and only logs a refusal. Raises RayDoesNotAnswer."""
        try:
            self._ray_jobs.stop(job_id)
        except RayDoesNotAnswer:
            raise
        except RayUnavailable as error:
            logger.warning("%s: Ray does not stop it: %s", job_id, error)

    def _end_attempt(self, run_id: str, token: int, action: EndAttempt) -> None:
        key = action.key(run_id)
        job_id = key.submission_id(action.attempt)
        if action.maybe_alive:
            # If the job starts after all, or is still alive, it finds this file and ends without writing anything.
            self._leave_word_to_stop(key, action.attempt)
        state = _ATTEMPT_ENDS.get(action.reason, AttemptState.FAILED)
        with self._fenced(run_id, token) as (session, now):
            set_attempt_state(
                session,
                job_id,
                state,
                failure_reason=action.reason,
                failure_message=action.message,
                finished_at=now,
            )
            charge_attempt(session, job_id, now)
            message = f"{action.reason}: {action.message}"
            add_event(
                session, run_id, now, ATTEMPT_ENDED[state], message, action.generation, action.stage, action.attempt
            )

    def _finish_stage(self, run_id: str, token: int, action: FinishStage) -> None:
        key = action.key(run_id)
        with self._fenced(run_id, token) as (session, now):
            set_attempt_state(
                session,
                key.submission_id(action.attempt),
                AttemptState.SUCCEEDED,
                finished_at=now,
                # It may have a failure reason, if it finished its work while it was being stopped.
                failure_reason=None,
                failure_message=None,
            )
            charge_attempt(session, key.submission_id(action.attempt), now)
            set_stage_state(session, key, StageState.SUCCEEDED, finished_at=now, result=action.result.model_dump_json())
            record_result(session, run_id, action, now)
            make_next_stage_ready(session, run_id, now)
            add_event(
                session, run_id, now, EventKind.STAGE_SUCCEEDED, "", action.generation, action.stage, action.attempt
            )

    def _finish_generation(self, run_id: str, token: int, action: FinishGeneration) -> None:
        with self._fenced(run_id, token) as (session, now):
            set_generation_state(session, run_id, action.generation, GenerationState.SUCCEEDED)
            add_event(session, run_id, now, EventKind.GENERATION_SUCCEEDED, "", action.generation)
            judge_promotion(session, run_id, action.generation, now)

    def _pause_run(self, run_id: str, token: int) -> None:
        with self._fenced(run_id, token) as (session, now):
            set_run_state(session, run_id, RunState.PAUSED)
            add_event(session, run_id, now, EventKind.RUN_PAUSED, "nothing of it is on the cluster")

    def _end_run(self, run_id: str, token: int, action: EndRun) -> None:
        with self._fenced(run_id, token) as (session, now):
            set_run_state(session, run_id, action.state, state_reason=action.reason, finished_at=now)
            if action.generation is not None and action.stage is not None:
                stage_state, generation_state = _END_STATES[action.state]
                set_stage_state(session, StageKey(run_id, action.generation, action.stage), stage_state)
                set_generation_state(session, run_id, action.generation, generation_state)
            add_event(
                session, run_id, now, RUN_ENDED[action.state], action.reason or "", action.generation, action.stage
            )


_ATTEMPT_ENDS = {FailureReason.CANCELLED: AttemptState.CANCELLED, FailureReason.PAUSED: AttemptState.PAUSED}
_END_STATES = {
    RunState.FAILED: (StageState.FAILED, GenerationState.FAILED),
    RunState.CANCELLED: (StageState.CANCELLED, GenerationState.CANCELLED),
    RunState.GATED: (StageState.CANCELLED, GenerationState.CANCELLED),
}
