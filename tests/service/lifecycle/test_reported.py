"""What of an attempt's reports is recorded, and before what, as values."""

import pytest

from service.lifecycle.actions import BeginStopping, EndAttempt, FinishStage, RecordDevices, RecordWait
from service.lifecycle.snapshots import Observed
from service.lifecycle.states import AttemptState
from service.ray_client.job_status import JobStatus
from tests.support.made_snapshots import FAILURE, NOW, RESULT, make_attempt, make_run, next_actions, progress
from workers.specs.devices import DeviceKind, Devices
from workers.specs.reports import Waiting, WaitKind

GPUS, CPUS = Devices(kind=DeviceKind.GPU, count=2.0), Devices(kind=DeviceKind.CPU, count=2.0)
RUN = make_run(make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 5, devices=CPUS))
WAITING = Waiting(since=NOW, reason="needs 1 GPU", exceeds_cluster=True, kind=WaitKind.NODE_COMING)
NEWS = RecordDevices(0, "train", 1, GPUS)


@pytest.mark.parametrize(
    ("observed", "then"),
    [
        (Observed(JobStatus.RUNNING, progress=progress(devices=GPUS)), None),
        (Observed(JobStatus.RUNNING, result=RESULT.model_copy(update={"devices": GPUS})), FinishStage),
        (Observed(JobStatus.FAILED, failure=FAILURE.model_copy(update={"devices": GPUS})), EndAttempt),
        (Observed(JobStatus.RUNNING, failure=FAILURE.model_copy(update={"devices": GPUS})), BeginStopping),
        (Observed(JobStatus.UNKNOWN, progress=progress(devices=GPUS)), EndAttempt),
        (Observed(JobStatus.FAILED, "killed", progress=progress(devices=GPUS)), EndAttempt),
    ],
)
def test_devices_are_recorded_before_the_attempt_ends_and_is_charged(observed: Observed, then: type | None) -> None:
    first, *others = next_actions(RUN, observed)

    assert first == NEWS
    assert [type(each) for each in others] == ([] if then is None else [then])


@pytest.mark.parametrize("devices", [CPUS, None])
def test_devices_that_are_on_record_are_no_news(devices: Devices | None) -> None:
    assert next_actions(RUN, Observed(JobStatus.RUNNING, progress=progress(devices=devices))) == []


def test_a_wait_is_recorded_when_it_begins_changes_and_ends() -> None:
    waits = make_run(make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 5, waiting=WAITING))
    changed = WAITING.model_copy(update={"reason": "needs 2 GPU"})
    for run, reported in ((RUN, WAITING), (waits, changed), (waits, None)):
        seen = Observed(JobStatus.RUNNING, progress=progress(waiting=reported))
        assert next_actions(run, seen) == [RecordWait(0, "train", 1, reported)]
    assert next_actions(waits, Observed(JobStatus.RUNNING, progress=progress(waiting=WAITING))) == []


@pytest.mark.parametrize(
    "observed", [Observed(JobStatus.RUNNING, files_seen=False), Observed(JobStatus.UNAVAILABLE, "no answer")]
)
def test_what_cannot_be_seen_ends_no_wait(observed: Observed) -> None:
    waits = make_run(make_attempt(AttemptState.SUBMITTED, submitted_at=NOW - 5, waiting=WAITING))

    assert next_actions(waits, observed) == []
