"""What drivers report of attempts: the devices that projects pay for, and what stages wait for; on both databases."""

from typing import Any

import pytest

from service.config.stage_key import StageKey
from service.lifecycle.reported import DRIVER_STARTS_SECONDS
from service.views.runs import AttemptView, EventView
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import join_uri, write_bytes
from workers.specs.devices import DeviceKind, Devices
from workers.specs.reports import FailureReason, Progress, StageFailure, Waiting, WaitKind
from workers.specs.stages import FAILURE_FILE, PROGRESS_FILE, RESULT_FILE

GPUS = Devices(kind=DeviceKind.GPU, count=2.0)
HOUR = 3600.0


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    """A run that leaves its GPUs to the cluster and asks for eight CPUs, with its first attempt on the cluster."""
    resources = {"train": {"num_workers": 2, "cpus_per_worker": 4}}
    patient = {"stall_timeout_seconds": {"train": 1e6}}
    run_id: str = bench.commands.create_run(run_config(resources=resources, fault_tolerance=patient)).id
    bench.reconciler().tick()
    return run_id


def report(bench: Workbench, job_id: str, **changes: Any) -> None:
    spec, now = bench.ray.spec_of(job_id), bench.clock()
    known: dict[str, Any] = {"attempt": spec.attempt, "done": 0, "total": 10, "unit": "steps", "entered_at": now}
    progress = Progress(**{**known, "work_started_at": None, "updated_at": now, "advanced_at": now, **changes})
    write_bytes(join_uri(spec.folder_uri, PROGRESS_FILE), progress.model_dump_json().encode())


def fail(bench: Workbench, job_id: str, devices: Devices | None) -> None:
    failure = StageFailure(attempt=1, reason=FailureReason.USER_ERROR, message="no", devices=devices)
    write_bytes(join_uri(bench.ray.spec_of(job_id).folder_uri, FAILURE_FILE), failure.model_dump_json().encode())
    bench.ray.end(job_id, "FAILED")


def spent_hours(bench: Workbench) -> float:
    return bench.services.projects.get_project("default").spent_device_hours


def first_attempt(bench: Workbench, run_id: str) -> AttemptView:
    return bench.queries.get_attempt(StageKey(run_id, 0, "train"), 1)


def history(bench: Workbench, run_id: str) -> list[EventView]:
    return [each for each in reversed(bench.queries.list_events(run_id).items) if each.kind.startswith("stage_")]


def test_until_the_driver_reports_an_attempt_is_charged_as_its_run_requests(bench: Workbench, run_id: str) -> None:
    bench.clock.advance(HOUR)

    assert first_attempt(bench, run_id).devices == Devices(kind=DeviceKind.CPU, count=8.0)
    assert spent_hours(bench) == pytest.approx(8.0)


def test_the_first_report_charges_all_the_time_since_the_submission(bench: Workbench, run_id: str) -> None:
    bench.clock.advance(HOUR)
    report(bench, f"{run_id}-g0-train-a1", devices=GPUS)
    bench.reconciler().tick()

    assert first_attempt(bench, run_id).devices == GPUS
    assert spent_hours(bench) == pytest.approx(2.0)


@pytest.mark.parametrize(("reported", "hours"), [(GPUS, 2.0), (None, 8.0)])
def test_an_attempt_that_fails_is_charged_by_its_failure_or_else_by_its_spec(
    bench: Workbench, run_id: str, reported: Devices | None, hours: float
) -> None:
    bench.clock.advance(HOUR)
    fail(bench, f"{run_id}-g0-train-a1", reported)
    bench.reconciler().tick()

    assert spent_hours(bench) == pytest.approx(hours)
    assert bench.queries.get_run(run_id).state == "failed"


def test_an_attempt_that_is_lost_is_charged_by_its_last_report(bench: Workbench, run_id: str) -> None:
    job = f"{run_id}-g0-train-a1"
    report(bench, job, devices=GPUS)  # the reconciler has not seen it yet when the head dies
    bench.clock.advance(HOUR)
    bench.lose_jobs(bench.reconciler())

    lost = first_attempt(bench, run_id)
    assert (lost.failure_reason, lost.devices) == ("job_lost", GPUS)
    assert lost.finished_at is not None
    assert lost.submitted_at is not None
    assert spent_hours(bench) == pytest.approx(2 * (lost.finished_at - lost.submitted_at).total_seconds() / HOUR)


def test_a_result_decides_even_if_no_report_was_seen_before(bench: Workbench, run_id: str) -> None:
    job = f"{run_id}-g0-train-a1"
    bench.clock.advance(HOUR)
    bench.ray.write_result(job)
    uri = join_uri(bench.ray.spec_of(job).folder_uri, RESULT_FILE)
    result = bench.ray.result_of(job).model_copy(update={"devices": GPUS})
    write_bytes(uri, result.model_dump_json().encode())
    bench.reconciler().tick()

    stage = bench.queries.get_stage(StageKey(run_id, 0, "train"))
    assert (stage.state, stage.attempts[0].devices) == ("succeeded", GPUS)
    assert stage.result is not None
    assert stage.result["devices"] == {"kind": "gpu", "count": 2.0}
    [train, _] = bench.services.lineage.model_lineage(f"{run_id}-g0").stages
    assert train.devices == GPUS
    assert spent_hours(bench) == pytest.approx(2.0, abs=0.01)


def test_an_attempt_of_an_earlier_stage_code_keeps_what_its_spec_says(bench: Workbench, run_id: str) -> None:
    report(bench, f"{run_id}-g0-train-a1", devices=None)
    bench.reconciler().tick()

    assert first_attempt(bench, run_id).devices == Devices(kind=DeviceKind.CPU, count=8.0)


def test_a_wait_is_shown_with_its_kind_for_as_long_as_it_is_true(bench: Workbench, run_id: str) -> None:
    job, reconciler, began_at = f"{run_id}-g0-train-a1", bench.reconciler(), bench.clock()
    coming = Waiting(since=began_at, reason="needs 1 GPU", exceeds_cluster=True, kind=WaitKind.NODE_COMING)
    report(bench, job, waiting=coming)
    reconciler.tick()
    for shown in (bench.queries.get_run(run_id), *bench.queries.list_runs().items):
        assert (shown.waiting.stage, shown.waiting.kind, shown.waiting.reason) == (
            "train",
            "node_coming",
            "needs 1 GPU",
        )

    nearer = coming.model_copy(update={"reason": "needs 1 GPU; the cluster has 1 node"})
    report(bench, job, waiting=nearer)
    reconciler.tick()
    assert bench.queries.get_run(run_id).waiting.reason == "needs 1 GPU; the cluster has 1 node"

    full = Waiting(since=began_at + 60, reason="others use it", exceeds_cluster=False, kind=WaitKind.CLUSTER_FULL)
    report(bench, job, waiting=full)
    reconciler.tick()
    bench.clock.advance(100)
    report(bench, job)
    reconciler.tick()

    assert bench.queries.get_run(run_id).waiting is None
    assert [each.waiting for each in bench.queries.list_runs().items] == [None]
    assert [(each.kind, each.message, each.stage, each.attempt) for each in history(bench, run_id)] == [
        ("stage_waiting", "node_coming: needs 1 GPU", "train", 1),
        ("stage_waiting", "cluster_full: others use it", "train", 1),
        ("stage_placed", "after 40 s", "train", 1),
    ]


def test_a_new_reconciler_does_not_tell_a_wait_again(bench: Workbench, run_id: str) -> None:
    waiting = Waiting(since=0.0, reason="needs 1 GPU", exceeds_cluster=False, kind=WaitKind.CLUSTER_FULL)
    for reconciler in (bench.reconciler(), bench.new_reconciler()):
        report(bench, f"{run_id}-g0-train-a1", waiting=waiting)
        reconciler.tick()
        bench.clock.advance(60)  # the lease ends

    assert [each.kind for each in history(bench, run_id)] == ["stage_waiting"]


def test_a_stage_that_ended_while_it_waited_waits_no_longer(bench: Workbench, run_id: str) -> None:
    beyond = Waiting(since=0.0, reason="needs 9 GPU", exceeds_cluster=True, kind=WaitKind.BEYOND_GROUPS)
    bench.ray.stop_ends_jobs = False
    report(bench, f"{run_id}-g0-train-a1", waiting=beyond)
    bench.reconciler().tick()

    assert first_attempt(bench, run_id).state == "stopping"
    assert bench.queries.get_run(run_id).waiting is None


def test_a_driver_that_ray_does_not_start_is_a_wait_too(bench: Workbench, run_id: str) -> None:
    job, reconciler = f"{run_id}-g0-train-a1", bench.reconciler()
    bench.ray.jobs[job].update(status="PENDING", message="It may be waiting\nfor resources (CPUs)")
    bench.clock.advance(DRIVER_STARTS_SECONDS - 1)
    reconciler.tick()
    assert bench.queries.get_run(run_id).waiting is None

    bench.clock.advance(1)
    reconciler.tick()
    waiting = bench.queries.get_run(run_id).waiting
    expected = "Ray has not started the stage's driver: It may be waiting for resources (CPUs)"
    assert (waiting.kind, waiting.reason) == ("driver_pending", expected)

    bench.ray.jobs[job]["status"] = "RUNNING"
    report(bench, job)
    reconciler.tick()
    assert bench.queries.get_run(run_id).waiting is None
