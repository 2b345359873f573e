"""Decides what to record of an open attempt's reports: its devices, and what it waits for. No I/O, no clock."""

from service.lifecycle.actions import Action, RecordDevices, RecordWait
from service.lifecycle.snapshots import AttemptSnapshot, Observed, StageSnapshot
from service.lifecycle.states import AttemptState
from service.ray_client.job_status import JobStatus
from workers.specs.devices import Devices
from workers.specs.reports import Waiting, WaitKind

DRIVER_STARTS_SECONDS = 30.0
"""How long Ray may take to start a driver before the attempt counts as waiting for it."""


def news_of_devices(stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed) -> list[Action]:
    """Returns what to record before anything else: an attempt is charged for its devices when it ends."""
    devices = _devices(observed)
    if devices is None or devices == attempt.devices:
        return []
    return [RecordDevices(stage.generation, stage.name, attempt.number, devices)]


def news_of_wait(stage: StageSnapshot, attempt: AttemptSnapshot, observed: Observed, now: float) -> list[Action]:
    """Returns what to record of an attempt that goes on. What has not been seen changes nothing."""
    if attempt.state is not AttemptState.SUBMITTED:
        return []
    if observed.job is JobStatus.PENDING:
        waiting = _wait_for_driver(attempt, observed, now)
    elif observed.job is JobStatus.RUNNING and observed.files_seen:
        waiting = None if observed.progress is None else observed.progress.waiting
    else:
        return []
    if waiting == attempt.waiting:
        return []
    return [RecordWait(stage.generation, stage.name, attempt.number, waiting)]


def _devices(observed: Observed) -> Devices | None:
    for report in (observed.result, observed.failure, observed.progress):
        if report is not None and report.devices is not None:
            return report.devices
    return None


def _wait_for_driver(attempt: AttemptSnapshot, observed: Observed, now: float) -> Waiting | None:
    since = attempt.created_at if attempt.submitted_at is None else attempt.submitted_at
    if now - since < DRIVER_STARTS_SECONDS:
        return None
    said = " ".join(observed.job_message.split())[:500]
    reason = "Ray has not started the stage's driver" + (f": {said}" if said else "")
    return Waiting(since=since, reason=reason, exceeds_cluster=False, kind=WaitKind.DRIVER_PENDING)
