"""Stages that hang or cannot be scheduled, as the reconciler sees them in their files; on both databases."""

from typing import Any

import pytest

from service.config.stage_key import StageKey
from tests.support.workbench import MakeConfig, Workbench, attempts
from workers.artifact_io import write_bytes
from workers.specs.reports import Progress, Waiting


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    config = run_config(
        fault_tolerance={
            "stall_timeout_seconds": {"train": 60},
            "schedule_timeout_seconds": 30,
            "retry": {"unschedulable": 0},
        }
    )
    run_id: str = bench.commands.create_run(config).id
    return run_id


def report(bench: Workbench, job_id: str, **changes: Any) -> None:
    spec = bench.ray.spec_of(job_id)
    now = bench.clock()
    known: dict[str, Any] = {"attempt": spec.attempt, "done": 3, "total": 10, "unit": "steps", "entered_at": now}
    progress = Progress(**{**known, "work_started_at": now, "updated_at": now, "advanced_at": now, **changes})
    write_bytes(f"{spec.folder_uri}/progress.json", progress.model_dump_json().encode())


def test_a_hung_stage_is_stopped_and_tried_again(bench: Workbench, run_id: str) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    for _ in range(3):
        bench.clock.advance(50)
        report(bench, job)
        reconciler.tick()
    assert attempts(bench, run_id) == [("submitted", None)]

    stuck_since = bench.clock()
    for _ in range(2):
        bench.clock.advance(30)
        report(bench, job, advanced_at=stuck_since)  # alive, but without progress
        reconciler.tick()
    assert bench.ray.stops == [job]
    bench.clock.advance(2)
    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "hung"), ("submitted", None)]
    [message] = [e.message for e in bench.queries.list_events(run_id).items if e.kind == "attempt_failed"]
    assert message == "hung: no progress for 60 s at 3 of 10 steps"


def test_a_stage_that_can_never_be_scheduled_fails_its_run_at_the_deadline(bench: Workbench, run_id: str) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    waiting = Waiting(since=bench.clock(), reason="waiting for resources: needs 1 GPU", exceeds_cluster=True)
    for _ in range(4):
        report(bench, job, waiting=waiting, work_started_at=None)
        reconciler.tick()
        bench.clock.advance(10)

    shown = bench.queries.get_stage(StageKey(run_id, 0, "train")).progress
    assert shown.waiting == waiting
    report(bench, job, waiting=waiting, work_started_at=None)
    reconciler.tick()
    reconciler.tick()

    run = bench.queries.get_run(run_id)
    assert run.state == "failed"
    assert run.state_reason == ("generation 0, train: unschedulable: waiting for resources: needs 1 GPU; waited 30 s")


def test_a_stage_whose_files_cannot_be_seen_is_not_taken_for_a_hung_one(bench: Workbench, run_id: str) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    spec = bench.ray.spec_of(job)
    write_bytes(f"{spec.folder_uri}/progress.json/in-the-way", b"")  # reading the file raises OSError
    bench.clock.advance(3600)

    reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert "artifact_store_unavailable" in {event.kind for event in bench.queries.list_events(run_id).items}
