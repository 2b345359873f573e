"""Where an attempt's Ray job is to be seen: at Ray while it is there, and then in its saved log."""

import pytest

from service.config.stage_key import StageKey
from service.runs.job_places import JobPlace
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import join_uri, write_bytes

KEY = "g0-train-a1"


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    run_id: str = bench.commands.create_run(run_config()).id
    bench.reconciler().tick()
    return run_id


def find(bench: Workbench, run_id: str, may_see_dashboard: bool = True) -> JobPlace:
    return bench.queries.find_job(StageKey(run_id, 0, "train"), 1, may_see_dashboard)


def save_log(bench: Workbench, run_id: str) -> None:
    folder = bench.ray.spec_of(f"{run_id}-{KEY}").folder_uri
    write_bytes(join_uri(folder, "logs", "a1.log"), b"step 1\nstep 2\n")


def test_a_job_that_ray_has_is_shown_by_ray(bench: Workbench, run_id: str) -> None:
    place = find(bench, run_id)

    assert place.dashboard_url is not None
    assert place.dashboard_url.endswith(f"/#/jobs/{run_id}-{KEY}")


def test_a_job_that_is_gone_leads_to_its_saved_log(bench: Workbench, run_id: str) -> None:
    save_log(bench, run_id)
    bench.ray.jobs.clear()  # the head was restarted, and the service has not noticed yet
    place = find(bench, run_id)

    assert (place.dashboard_url, place.lines) == (None, ("step 1", "step 2"))
    assert place.sentence.startswith("Ray does not know this job: its head was restarted, or the job is over.")
    assert "This is its saved log" in place.sentence


def test_a_job_that_was_closed_leads_to_its_saved_log(bench: Workbench, run_id: str) -> None:
    job = f"{run_id}-{KEY}"
    bench.ray.jobs[job]["logs"] = "the last words\n"
    bench.ray.write_result(job)
    bench.ray.end(job)
    bench.reconciler().tick()
    closer = bench.reconciling().job_closer
    closer.close_jobs()
    bench.clock.advance(60)
    closer.close_jobs()
    assert job not in bench.ray.jobs
    place = find(bench, run_id)

    assert place.lines == ("the last words",)
    assert place.sentence.startswith("Ray no longer has this job: its attempt is over. This is its saved log")


def test_a_job_that_is_gone_without_a_log_says_so(bench: Workbench, run_id: str) -> None:
    bench.ray.jobs.clear()

    assert find(bench, run_id).sentence.endswith("Its log was not saved.")
    assert find(bench, run_id).lines == ()


def test_while_ray_is_away_what_is_saved_is_shown(bench: Workbench, run_id: str) -> None:
    bench.ray.down = True

    assert find(bench, run_id).sentence == "Ray does not answer at the moment. The job's log is not saved yet."


def test_who_may_not_see_rays_dashboard_gets_the_log(bench: Workbench, run_id: str) -> None:
    bench.ray.jobs[f"{run_id}-{KEY}"]["logs"] = "step 7\n"
    place = find(bench, run_id, may_see_dashboard=False)

    assert (place.dashboard_url, place.lines) == (None, ("step 7",))
    assert "This is its log so far" in place.sentence
