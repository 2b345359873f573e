"""The logs of ended attempts' jobs are saved, then the jobs are deleted, and nothing waits for it."""

from pathlib import Path
from typing import Any

import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.reconcile.ended_attempts import attempts_with_jobs
from service.reconcile.job_closer import LATE_SECONDS, LINGER_SECONDS, SETTLE_SECONDS, JobCloser
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import delete_folder, exists, read_bytes, write_bytes
from workers.specs.reports import FailureReason, StageControl
from workers.specs.stages import StageName


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    run_id: str = bench.commands.create_run(run_config(generations=0, student_models=[])).id
    return run_id


@pytest.fixture
def closer(bench: Workbench) -> JobCloser:
    return bench.reconciling().job_closer


def close_settled_jobs(bench: Workbench, closer: JobCloser) -> None:
    """Ticks until the reconciler has seen the ends, and has deleted the jobs that have settled."""
    closer.close_jobs()
    bench.clock.advance(SETTLE_SECONDS)
    closer.close_jobs()


def logs(bench: Workbench, run_id: str, stage: StageName = "train", attempt: int = 1) -> Any:
    return bench.queries.log_tail(StageKey(run_id, 0, stage), attempt)


def test_the_log_of_an_ended_job_outlives_the_job(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    bench.ray.jobs[job]["logs"] = "one\ntwo\n"
    assert logs(bench, run_id).source == "ray"
    bench.ray.write_result(job)
    bench.ray.end(job)
    reconciler.tick()

    close_settled_jobs(bench, closer)

    assert job not in bench.ray.jobs
    tail = logs(bench, run_id)
    assert (tail.source, tail.lines, tail.note) == ("artifact_root", ["one", "two"], None)
    [attempt] = bench.queries.get_stage(StageKey(run_id, 0, "train")).attempts
    assert (attempt.log_saved, attempt.dashboard_url) == (True, None)
    bench.ray.jobs.clear()  # the head dies
    bench.ray.down = True
    assert logs(bench, run_id).lines == ["one", "two"]


def test_a_job_is_deleted_once_rays_monitor_has_seen_its_end(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    bench.ray.jobs[job]["logs"] = "one\n"
    bench.ray.write_result(job)
    bench.ray.end(job)
    reconciler.tick()

    closer.close_jobs()
    assert job in bench.ray.jobs  # Ray would write it back
    assert logs(bench, run_id).source == "artifact_root"  # even if the head dies meanwhile
    bench.clock.advance(SETTLE_SECONDS - 1)
    closer.close_jobs()
    assert job in bench.ray.jobs

    bench.clock.advance(1)
    closer.close_jobs()
    assert job not in bench.ray.jobs


def test_nothing_is_deleted_before_its_log_is_saved(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    bench.ray.write_failure(job, FailureReason.USER_ERROR)
    bench.ray.end(job, "FAILED")
    reconciler.tick()
    log_uri = ArtifactLayout(bench.settings.artifact_root).job_log(StageKey(run_id, 0, "train"), 1)
    in_the_way = log_uri.rpartition("/")[0]
    write_bytes(in_the_way, b"a file where a folder should be")

    closer.close_jobs()
    assert job in bench.ray.jobs
    assert bench.queries.get_run(run_id).state == "failed"  # the run was not held up

    Path(in_the_way).unlink()
    closer.close_jobs()
    assert job in bench.ray.jobs  # not deleted yet, but postponed
    bench.clock.advance(5)
    close_settled_jobs(bench, closer)
    assert job not in bench.ray.jobs
    assert exists(log_uri)


def test_a_job_that_hangs_after_its_result_is_stopped(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    bench.ray.write_result(job)
    reconciler.tick()

    closer.close_jobs()
    assert bench.ray.stops == []
    bench.clock.advance(LINGER_SECONDS)
    closer.close_jobs()
    assert bench.ray.stops == [job]
    bench.clock.advance(LINGER_SECONDS)
    close_settled_jobs(bench, closer)

    assert job not in bench.ray.jobs
    assert logs(bench, run_id).source == "artifact_root"


def test_a_job_that_died_with_its_head_leaves_a_note(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.lose_jobs(reconciler)

    closer.close_jobs()

    tail = logs(bench, run_id)
    assert (tail.source, tail.lines) == (None, [])
    assert "head has died" in tail.note
    [first, *_] = bench.queries.get_stage(StageKey(run_id, 0, "train")).attempts
    assert not first.log_saved


def test_an_outage_of_ray_only_puts_it_off(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    bench.play_to_the_end(bench.reconciler())
    bench.ray.down = True
    closer.close_jobs()
    bench.ray.down = False
    bench.clock.advance(60)

    close_settled_jobs(bench, closer)

    assert bench.ray.jobs == {}


def test_only_the_end_of_a_long_log_is_kept(bench: Workbench, run_id: str) -> None:
    small = changed(bench.settings, ray__job_log_mib=0.001)
    reconciler = bench.reconciler()
    reconciler.tick()
    job = f"{run_id}-g0-train-a1"
    bench.ray.jobs[job]["logs"] = "".join(f"line {number}\n" for number in range(10_000))
    bench.ray.write_result(job)
    bench.ray.end(job)
    reconciler.tick()

    bench.reconciling(small).job_closer.close_jobs()

    lines = logs(bench, run_id).lines
    assert lines[-1] == "line 9999"
    assert all(line.startswith("line 9") for line in lines)
    assert sum(len(line) + 1 for line in lines) <= 1048


def test_a_job_that_appears_after_its_attempt_was_over_is_stopped(
    bench: Workbench, run_id: str, closer: JobCloser
) -> None:
    """Ray forgot the job for a moment, or a delayed reconciler submitted it late."""
    reconciler = bench.reconciler()
    reconciler.tick()
    jobs = dict(bench.ray.jobs)
    bench.lose_jobs(reconciler)
    closer.close_jobs()

    bench.ray.jobs.update(jobs)
    bench.clock.advance(LINGER_SECONDS)
    closer.close_jobs()

    assert bench.ray.stops == list(jobs)


def test_a_job_that_ray_does_not_know_for_long_is_closed(bench: Workbench, run_id: str, closer: JobCloser) -> None:
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.lose_jobs(reconciler)
    closer.close_jobs()
    assert attempts_left(bench) == 1

    bench.clock.advance(LATE_SECONDS)
    closer.close_jobs()

    assert attempts_left(bench) == 0


def test_a_job_that_ray_has_lost_is_told_to_stop_as_soon_as_the_store_takes_it(
    bench: Workbench, run_id: str, closer: JobCloser
) -> None:
    """Its driver may survive on a cancelled run, which has no later attempt for it to yield to."""
    control = ArtifactLayout(bench.settings.artifact_root).control(StageKey(run_id, 0, "train"), 1)
    write_bytes(f"{control}/in_the_way", b"")  # a folder where the file should be
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.commands.cancel_run(run_id)
    bench.lose_jobs(reconciler)
    assert bench.queries.get_run(run_id).state == "cancelled"
    bench.clock.advance(LATE_SECONDS)
    closer.close_jobs()
    assert attempts_left(bench) == 1

    delete_folder(control)
    bench.clock.advance(LATE_SECONDS)
    closer.close_jobs()

    assert StageControl.model_validate_json(read_bytes(control)).command == "stop"
    assert attempts_left(bench) == 0


def attempts_left(bench: Workbench) -> int:
    with bench.database.read() as session:
        return len(attempts_with_jobs(session, 10))
