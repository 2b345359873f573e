"""What a process of the reconciler tells: its lease, its ticks, what runs, and whether Ray and the store are there."""

from pathlib import Path

import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.metrics.reconciler_figures import FRESH_SECONDS
from service.ray_client.jobs import RayJobs
from service.wiring import Reconciling
from tests.service.metrics.scrape import scrape
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import write_bytes
from workers.specs.reports import Progress


@pytest.fixture
def first(bench: Workbench) -> Reconciling:
    return bench.reconciling()


def report(bench: Workbench, run_id: str, images_per_second: float) -> None:
    progress = Progress(
        attempt=1,
        done=1,
        total=2,
        unit="steps",
        entered_at=bench.clock(),
        work_started_at=bench.clock(),
        updated_at=bench.clock(),
        values={"images_per_second": images_per_second},
    )
    uri = ArtifactLayout(bench.settings.artifact_root).progress(StageKey(run_id, 0, "train"))
    write_bytes(uri, progress.model_dump_json().encode())


def test_only_the_holder_of_the_lease_says_that_it_reconciles(
    bench: Workbench, first: Reconciling, run_config: MakeConfig
) -> None:
    second = bench.reconciling()
    first.reconciler.tick()
    second.reconciler.tick()

    assert scrape(first.metrics).value("noisy_student_reconciler_lease_held") == 1
    assert scrape(second.metrics).value("noisy_student_reconciler_lease_held") == 0
    bench.clock.advance(60)
    second.reconciler.tick()
    bench.commands.create_run(run_config())
    first.reconciler.tick()  # it has something to do, and so it notices
    assert scrape(first.metrics).value("noisy_student_reconciler_lease_held") == 0
    assert scrape(second.metrics).value("noisy_student_reconciler_lease_held") == 1


def test_ticks_are_counted_and_dated(bench: Workbench, first: Reconciling) -> None:
    for _ in range(3):
        bench.clock.advance(1)
        first.reconciler.tick()

    seen = scrape(first.metrics)
    assert seen.value("noisy_student_reconciler_tick_seconds_count") == 3
    assert seen.value("noisy_student_reconciler_tick_seconds_sum") > 0
    assert seen.value("noisy_student_reconciler_last_tick_timestamp_seconds") == bench.clock()


def test_the_rate_of_running_stages_goes_when_they_fall_silent_or_end(
    bench: Workbench, first: Reconciling, run_id: str
) -> None:
    first.reconciler.tick()
    report(bench, run_id, 250.0)
    first.reconciler.tick()
    working = scrape(first.metrics)
    assert working.value("noisy_student_images_per_second", stage="train") == 250
    assert working.value("noisy_student_images_per_second", stage="label") == 0
    assert working.value("noisy_student_reconciler_jobs", status="running") == 1

    bench.clock.advance(FRESH_SECONDS + 1)
    first.reconciler.tick()
    assert scrape(first.metrics).value("noisy_student_images_per_second", stage="train") == 0

    report(bench, run_id, 300.0)
    first.reconciler.tick()
    assert scrape(first.metrics).value("noisy_student_images_per_second", stage="train") == 300
    bench.commands.cancel_run(run_id)
    first.reconciler.tick()
    bench.ray.end(f"{run_id}-g0-train-a1", "STOPPED")
    first.reconciler.tick()
    first.reconciler.tick()
    over = scrape(first.metrics)
    assert over.value("noisy_student_images_per_second", stage="train") == 0
    assert over.total("noisy_student_reconciler_jobs") == 0


def test_runs_that_wait_for_ray_are_counted_until_it_is_back(bench: Workbench, run_id: str) -> None:
    nobody = RayJobs("http://127.0.0.1:9", timeout_seconds=1)
    away = bench.reconciling(ray_jobs=nobody)
    away.reconciler.tick()
    waiting = scrape(away.metrics)

    assert waiting.value("noisy_student_reconciler_waiting_runs", reason="ray_unavailable") == 1
    assert waiting.value("noisy_student_reconciler_waiting_runs", reason="reconcile_failed") == 0
    nobody.close()
    bench.clock.advance(60)
    back = bench.reconciling()
    back.reconciler.tick()
    assert scrape(back.metrics).total("noisy_student_reconciler_waiting_runs") == 0


def test_ray_and_the_store_are_unknown_and_then_there(bench: Workbench, first: Reconciling) -> None:
    unknown = scrape(first.metrics).value("noisy_student_ray_up")
    first.availability.look()

    assert unknown != unknown, "NaN"
    assert scrape(first.metrics).value("noisy_student_ray_up") == 1
    assert scrape(first.metrics).value("noisy_student_artifact_store_up") == 1


def test_ray_that_is_gone_is_down(bench: Workbench) -> None:
    nobody = RayJobs("http://127.0.0.1:9", timeout_seconds=1)
    away = bench.reconciling(ray_jobs=nobody)
    away.availability.look()
    nobody.close()

    assert scrape(away.metrics).value("noisy_student_ray_up") == 0
    assert scrape(away.metrics).value("noisy_student_artifact_store_up") == 1


def test_a_store_that_gives_errors_is_down(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    broken = bench.reconciling(changed(bench.settings, artifact_root=str(tmp_path / "file" / "artifacts")))
    broken.availability.look()

    assert scrape(broken.metrics).value("noisy_student_artifact_store_up") == 0
    assert scrape(broken.metrics).value("noisy_student_ray_up") == 1
