"""Runs that wait for each other and for their project's quota, and paused runs; on both kinds of database."""

from typing import Any

import pytest

from service.config.policies import Quota
from service.config.run import RunChanges
from service.config.stage_key import StageKey
from service.errors import Conflict, Forbidden, NotFound
from service.reconcile.loop import Reconciler
from service.scheduling.projects import Projects
from service.store.visibility import only_projects
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import read_bytes
from workers.specs.reports import FailureReason, StageControl


@pytest.fixture
def limited(bench: Workbench) -> Workbench:
    """The workbench with at most one stage at a time."""
    bench.restart(changed(bench.settings, reconciler__max_concurrent_stages=1))
    return bench


@pytest.fixture
def projects(bench: Workbench) -> Projects:
    return bench.services.projects


def create(bench: Workbench, run_config: MakeConfig, **changes: Any) -> str:
    bench.clock.advance(1)
    run_id: str = bench.commands.create_run(run_config(generations=0, student_models=[], **changes)).id
    return run_id


def alive(bench: Workbench) -> list[str]:
    return [job_id for job_id, job in bench.ray.jobs.items() if job["status"] == "RUNNING"]


def finish(bench: Workbench, reconciler: Reconciler, job_id: str) -> None:
    bench.clock.advance(1)
    bench.ray.write_result(job_id)
    bench.ray.end(job_id)
    reconciler.tick()
    reconciler.tick()


def test_stages_take_turns_and_those_that_wait_know_their_place(limited: Workbench, run_config: MakeConfig) -> None:
    first, second, third = (create(limited, run_config) for _ in range(3))
    reconciler = limited.reconciler()

    reconciler.tick()

    assert alive(limited) == [f"{first}-g0-train-a1"]
    assert limited.queries.get_run(first).queue is None
    place = limited.queries.get_run(second).queue
    assert (place.position, place.reason) == (1, "limit of 1 concurrent stages")
    listed = {run.id: run.queue for run in limited.queries.list_runs().items}
    assert (listed[first], listed[second].position, listed[third].position) == (None, 1, 2)

    finish(limited, reconciler, f"{first}-g0-train-a1")

    # The first run's next stage is queued behind the others.
    assert alive(limited) == [f"{second}-g0-train-a1"]
    assert limited.queries.get_run(first).queue.position == 2
    queue = limited.services.projects.queue()
    assert [(each.run_id, each.stage) for each in queue.waiting] == [(third, "train"), (first, "evaluate")]
    assert (queue.running_stages, queue.waiting_stages, queue.max_concurrent_stages) == (1, 2, 1)


@pytest.mark.parametrize("max_concurrent_stages", [1, None])
def test_a_caller_with_projects_sees_their_share_of_the_queue(
    bench: Workbench, run_config: MakeConfig, max_concurrent_stages: int | None
) -> None:
    bench.restart(changed(bench.settings, reconciler__max_concurrent_stages=max_concurrent_stages))
    create(bench, run_config, project="theirs")
    create(bench, run_config, project="mine")
    bench.reconciler().tick()

    with only_projects(frozenset({"mine"})):
        queue = bench.services.projects.queue()

    waiting = 0 if max_concurrent_stages is None else 1
    assert (queue.running_stages, queue.waiting_stages) == (1 - waiting, waiting)
    assert {each.project for each in queue.waiting} <= {"mine"}


def test_never_more_stages_at_once_than_the_limit(limited: Workbench, run_config: MakeConfig) -> None:
    runs = [create(limited, run_config) for _ in range(4)]
    reconciler = limited.reconciler()
    for _ in range(40):
        reconciler.tick()
        assert len(alive(limited)) <= 1
        for job_id in alive(limited):
            limited.ray.write_result(job_id)
            limited.ray.end(job_id)

    assert {limited.queries.get_run(run).state for run in runs} == {"succeeded"}


def test_a_changed_priority_changes_the_order(limited: Workbench, run_config: MakeConfig) -> None:
    first, second, third = (create(limited, run_config) for _ in range(3))
    reconciler = limited.reconciler()
    reconciler.tick()

    assert limited.commands.change_run(third, RunChanges(priority=1)).queue.position == 1
    assert limited.queries.get_run(second).queue.position == 2

    finish(limited, reconciler, f"{first}-g0-train-a1")
    assert alive(limited) == [f"{third}-g0-train-a1"]


def test_a_run_that_has_ended_has_no_priority_to_change(bench: Workbench, run_config: MakeConfig) -> None:
    run = create(bench, run_config)
    bench.play_to_the_end(bench.reconciler())

    with pytest.raises(Conflict, match="has succeeded already"):
        bench.commands.change_run(run, RunChanges(priority=1))


def test_an_exhausted_quota_lets_running_stages_end_and_new_ones_wait(
    bench: Workbench, run_config: MakeConfig, projects: Projects
) -> None:
    two_gpus = {"train": {"num_workers": 4, "gpus_per_worker": 0.5}}
    patient = {"stall_timeout_seconds": {"train": 100_000}}
    run = create(bench, run_config, project="vision", resources=two_gpus, fault_tolerance=patient)
    other = create(bench, run_config, fault_tolerance=patient)
    projects.set_quota("vision", Quota(device_hours=2.0))
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.clock.advance(1800)
    assert projects.get_project("vision").spent_device_hours == pytest.approx(1.0)  # half an hour
    bench.clock.advance(3600)
    reconciler.tick()
    assert f"{run}-g0-train-a1" in alive(bench)

    finish(bench, reconciler, f"{run}-g0-train-a1")

    seen = projects.get_project("vision")
    assert (seen.spent_device_hours, seen.exhausted) == (pytest.approx(3.0, abs=0.01), True)
    place = bench.queries.get_run(run).queue
    assert place.reason == "project vision has spent 3.00 of its quota of 2 device hours"
    assert alive(bench) == [f"{other}-g0-train-a1"]

    projects.set_quota("vision", Quota(device_hours=None))
    reconciler.tick()
    assert f"{run}-g0-evaluate-a1" in alive(bench)
    bench.clock.advance(1)
    assert bench.queries.get_run(run).queue is None


def test_failed_attempts_are_paid_for_too(bench: Workbench, run_config: MakeConfig, projects: Projects) -> None:
    run = create(bench, run_config, resources={"train": {"num_workers": 2}})
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.clock.advance(1800)
    bench.ray.write_failure(f"{run}-g0-train-a1", FailureReason.USER_ERROR)
    bench.ray.end(f"{run}-g0-train-a1", "FAILED")
    reconciler.tick()
    bench.clock.advance(99_999)

    assert projects.get_project("default").spent_device_hours == pytest.approx(1.0)


def test_a_caller_limited_to_projects_does_not_lift_their_quotas(projects: Projects) -> None:
    projects.set_quota("vision", Quota(device_hours=1.0))
    with only_projects(frozenset({"vision"})), pytest.raises(Forbidden, match="every project"):
        projects.set_quota("vision", Quota(device_hours=None))
    assert projects.get_project("vision").quota_device_hours == 1.0


def test_a_project_is_there_once_a_run_or_a_quota_names_it(
    bench: Workbench, run_config: MakeConfig, projects: Projects
) -> None:
    with pytest.raises(NotFound):
        projects.get_project("speech")
    projects.set_quota("speech", Quota(device_hours=5.0))
    create(bench, run_config, project="vision")

    names = {project.name for project in projects.list_projects().items}
    assert {"speech", "vision"} <= names


def test_a_paused_run_leaves_the_cluster_and_its_place_and_goes_on(limited: Workbench, run_config: MakeConfig) -> None:
    first, second = (create(limited, run_config) for _ in range(2))
    reconciler = limited.reconciler()
    reconciler.tick()
    job = f"{first}-g0-train-a1"

    assert limited.commands.pause_run(first).state == "pausing"
    reconciler.tick()
    folder = limited.ray.spec_of(job).folder_uri
    assert StageControl.model_validate_json(read_bytes(f"{folder}/control-a1.json")).command == "pause"
    assert alive(limited) == [job]
    limited.ray.write_failure(job, FailureReason.PAUSED, "paused at a checkpoint")
    limited.ray.end(job, "FAILED")
    reconciler.tick()
    reconciler.tick()

    assert limited.queries.get_run(first).state == "paused"
    [attempt] = limited.queries.get_stage(StageKey(first, 0, "train")).attempts
    assert (attempt.state, attempt.failure_reason) == ("paused", "paused")
    assert alive(limited) == [f"{second}-g0-train-a1"]

    limited.clock.advance(1)
    assert limited.commands.resume_run(first).queue.position == 1
    finish(limited, reconciler, f"{second}-g0-train-a1")
    assert alive(limited) == [f"{first}-g0-train-a2"]
    kinds = [event.kind for event in reversed(limited.queries.list_events(first).items)]
    expected = ["run_pausing", "attempt_paused", "run_paused", "run_resumed", "attempt_submitted"]
    assert [kind for kind in kinds if kind in expected][1:] == expected


def test_a_run_that_waits_in_the_queue_is_paused_at_once(limited: Workbench, run_config: MakeConfig) -> None:
    create(limited, run_config)
    second = create(limited, run_config)
    reconciler = limited.reconciler()
    reconciler.tick()

    limited.commands.pause_run(second)
    reconciler.tick()

    run = limited.queries.get_run(second)
    assert (run.state, run.queue) == ("paused", None)


def test_a_paused_run_can_be_cancelled(bench: Workbench, run_config: MakeConfig) -> None:
    run = create(bench, run_config)
    bench.commands.pause_run(run)
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.commands.cancel_run(run)
    reconciler.tick()

    assert bench.queries.get_run(run).state == "cancelled"
    with pytest.raises(Conflict, match="only a run that is under way can be paused"):
        bench.commands.pause_run(run)
    with pytest.raises(Conflict, match="only a paused run can be resumed"):
        bench.commands.resume_run(run)


def test_a_run_resumed_before_it_has_paused_goes_on(bench: Workbench, run_config: MakeConfig) -> None:
    run = create(bench, run_config)
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.commands.pause_run(run)
    reconciler.tick()
    bench.commands.resume_run(run)

    # The stage has already been told to pause, and ends. Another attempt follows at once, and it is not a failure.
    bench.ray.write_failure(f"{run}-g0-train-a1", FailureReason.PAUSED)
    bench.ray.end(f"{run}-g0-train-a1", "FAILED")
    reconciler.tick()

    assert alive(bench) == [f"{run}-g0-train-a2"]


def test_cancelling_a_job_that_ray_has_not_started_ends_the_run_and_leaves_word_for_the_job(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run = create(bench, run_config)
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run}-g0-train-a1"
    bench.ray.jobs[job]["status"] = "PENDING"
    bench.ray.stop_ends_jobs = False

    bench.commands.cancel_run(run)
    reconciler.tick()
    bench.clock.advance(5)
    reconciler.tick()

    assert bench.queries.get_run(run).state == "cancelled"
    folder = bench.ray.spec_of(job).folder_uri
    assert StageControl.model_validate_json(read_bytes(f"{folder}/control-a1.json")).command == "stop"
    assert bench.ray.stops == [job]
