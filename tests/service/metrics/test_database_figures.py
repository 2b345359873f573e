"""What every API process tells of the whole service, on both kinds of database."""

from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import update

from service.config.policies import Quota
from service.datasets.registration.inspector_pool import InspectorPool
from service.lifecycle.states import StageState
from service.store.schema.reconciler_tables import LeaseRow
from service.wiring import open_services
from tests.service.metrics.scrape import Scrape, scrape
from tests.support.changed_settings import changed, settings_of
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName


@pytest.fixture
def fresh(bench: Workbench) -> Workbench:
    """Every scrape looks anew."""
    bench.restart(changed(bench.settings, metrics__cache_seconds=0.0))
    return bench


def figures(bench: Workbench) -> Scrape:
    return scrape(bench.services.metrics)


def test_an_empty_service_has_every_state_with_zero(fresh: Workbench) -> None:
    seen = figures(fresh)

    assert seen.value("noisy_student_database_up") == 1
    assert seen.value("noisy_student_runs", state="succeeded") == 0
    assert len(seen.values("noisy_student_stages")) == len(get_args(StageName)) * len(StageState)
    assert seen.total("noisy_student_stages") == 0
    assert seen.value("noisy_student_attempt_failures_total", stage="train", reason="out_of_memory") == 0
    assert seen.value("noisy_student_queue_oldest_wait_seconds") == 0
    assert seen.value("noisy_student_reconciler_lease_age_seconds") == float("inf"), "nobody has ever held it"


def test_a_run_is_followed_from_its_queue_to_its_end(fresh: Workbench, run_id: str) -> None:
    fresh.clock.advance(42)
    waiting = figures(fresh)
    assert waiting.value("noisy_student_runs", state="running") == 1
    assert waiting.value("noisy_student_queue_stages") == 1
    assert waiting.value("noisy_student_queue_oldest_wait_seconds") == 42
    assert waiting.total("noisy_student_stages", state="pending") == 6
    assert waiting.total("noisy_student_attempts_open") == 0

    reconciler = fresh.reconciler()
    reconciler.tick()
    training = figures(fresh)
    assert training.value("noisy_student_stages", stage="train", state="running") == 1
    assert training.total("noisy_student_stages", state="pending") == 5
    assert training.value("noisy_student_attempts_open", state="submitted") == 1
    assert training.value("noisy_student_queue_stages") == 0

    fresh.play_to_the_end(reconciler)
    over = figures(fresh)
    assert over.value("noisy_student_runs", state="succeeded") == 1
    assert over.value("noisy_student_runs", state="running") == 0
    assert over.value("noisy_student_stages", stage="train", state="succeeded") == 2
    assert over.total("noisy_student_stages", state="succeeded") == 6 == over.total("noisy_student_stages")
    assert over.value("noisy_student_attempts_total", stage="train", outcome="succeeded") == 2
    assert over.total("noisy_student_attempts_total") == 6
    assert over.total("noisy_student_attempts_open") == 0


def test_images_are_counted_when_their_stage_has_succeeded(fresh: Workbench, run_id: str) -> None:
    reconciler = fresh.reconciler()
    fresh.play(reconciler, until=lambda job_id: "g1-select" in job_id)
    before = figures(fresh)
    fresh.play_to_the_end(reconciler)
    after = figures(fresh)

    results = {
        (stage.generation, stage.name): stage.result or {}
        for generation in fresh.queries.get_run(run_id).generation_details
        for stage in generation.stages
    }
    assert before.value("noisy_student_images_labeled_total") == results[1, "label"]["labeled"] > 0
    assert before.value("noisy_student_images_selected_total") == 0
    assert after.value("noisy_student_images_selected_total") == results[1, "select"]["kept"] > 0
    trained = results[0, "train"]["images_seen"] + results[1, "train"]["images_seen"]
    assert after.value("noisy_student_images_trained_total") == trained
    assert before.value("noisy_student_images_trained_total") == results[0, "train"]["images_seen"] < trained


def test_failures_are_counted_by_reason_and_a_cancelled_attempt_is_none(
    fresh: Workbench, run_config: MakeConfig
) -> None:
    failing = fresh.commands.create_run(run_config()).id
    reconciler = fresh.reconciler()
    reconciler.tick()
    fresh.ray.write_failure(f"{failing}-g0-train-a1", FailureReason.USER_ERROR)
    fresh.ray.end(f"{failing}-g0-train-a1")
    reconciler.tick()
    cancelled = fresh.commands.create_run(run_config()).id
    reconciler.tick()
    fresh.commands.cancel_run(cancelled)
    reconciler.tick()
    fresh.ray.end(f"{cancelled}-g0-train-a1", "STOPPED")
    reconciler.tick()

    seen = figures(fresh)
    assert seen.value("noisy_student_attempt_failures_total", stage="train", reason="user_error") == 1
    assert seen.total("noisy_student_attempt_failures_total") == 1
    assert seen.value("noisy_student_attempts_total", stage="train", outcome="failed") == 1
    assert seen.value("noisy_student_attempts_total", stage="train", outcome="cancelled") == 1
    assert seen.value("noisy_student_runs", state="failed") == 1
    assert seen.value("noisy_student_runs", state="cancelled") == 1


def test_device_seconds_grow_while_an_attempt_works_and_stay_when_it_is_over(
    fresh: Workbench, run_config: MakeConfig
) -> None:
    fresh.services.projects.set_quota("idle", Quota(device_hours=1.0))
    run_id = fresh.commands.create_run(run_config(project="pets")).id
    reconciler = fresh.reconciler()
    reconciler.tick()
    fresh.clock.advance(10)
    first = figures(fresh).value("noisy_student_device_seconds_total", project="pets")
    fresh.clock.advance(10)
    second = figures(fresh).value("noisy_student_device_seconds_total", project="pets")
    job_id = f"{run_id}-g0-train-a1"
    fresh.ray.write_result(job_id)
    fresh.ray.end(job_id)
    reconciler.tick()
    over = figures(fresh)

    assert first > 0
    assert second == pytest.approx(2 * first)
    assert over.value("noisy_student_device_seconds_total", project="pets") == pytest.approx(second)
    assert over.value("noisy_student_device_seconds_total", project="idle") == 0


def test_the_lease_ages_until_it_is_renewed_and_each_claim_counts(fresh: Workbench) -> None:
    fresh.reconciler().tick()
    held = figures(fresh)
    fresh.clock.advance(5)
    later = figures(fresh)
    fresh.clock.advance(60)
    fresh.new_reconciler().tick()
    taken = figures(fresh)

    age = "noisy_student_reconciler_lease_age_seconds"
    assert held.value(age) == pytest.approx(0, abs=0.01)
    assert later.value(age) == pytest.approx(5, abs=0.01)
    assert taken.value(age) == pytest.approx(0, abs=0.01)
    claims = "noisy_student_reconciler_lease_claims_total"
    assert taken.value(claims) == held.value(claims) + 1


def test_a_lease_that_was_given_back_is_infinitely_old(fresh: Workbench) -> None:
    fresh.reconciler().tick()
    with fresh.database.write() as session:
        session.execute(update(LeaseRow).values(expires_at=0.0))

    assert figures(fresh).value("noisy_student_reconciler_lease_age_seconds") == float("inf")


def test_one_look_serves_the_scrapes_of_some_seconds(bench: Workbench, run_config: MakeConfig) -> None:
    bench.restart(changed(bench.settings, metrics__cache_seconds=10.0))
    assert figures(bench).value("noisy_student_runs", state="running") == 0
    bench.commands.create_run(run_config())
    bench.clock.advance(9)
    assert figures(bench).value("noisy_student_runs", state="running") == 0
    bench.clock.advance(2)
    assert figures(bench).value("noisy_student_runs", state="running") == 1


def test_processes_of_the_api_tell_the_same(fresh: Workbench, run_id: str) -> None:
    fresh.play_to_the_end(fresh.reconciler())
    other = scrape(fresh.services_with(fresh.settings).metrics)

    for name in ("noisy_student_runs", "noisy_student_stages", "noisy_student_attempts_total"):
        assert other.values(name) == figures(fresh).values(name) != []


def test_a_scrape_succeeds_without_the_database(inspectors: InspectorPool, tmp_path: Path) -> None:
    # Nothing listens on port 9 (discard).
    settings = settings_of(home=tmp_path, database_url="postgresql://nobody@127.0.0.1:9/none?connect_timeout=2")
    services = open_services(settings, inspectors=inspectors)

    seen = scrape(services.metrics)

    assert seen.value("noisy_student_database_up") == 0
    assert seen.values("noisy_student_runs") == []
    assert seen.total("noisy_student_build_info") == 1
