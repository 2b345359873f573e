"""The reconciler with a Ray that loses jobs, responses and nodes, forgets jobs, or is away; on both databases."""

from typing import Any

import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.reconcile.job_statuses import LOST_AFTER_SECONDS
from tests.support.workbench import Workbench, attempts, submitted
from workers.artifact_io import read_bytes, write_bytes
from workers.specs.reports import FailureReason, StageControl


def test_a_submit_whose_answer_was_lost_is_not_made_twice(bench: Workbench, run_id: str) -> None:
    answer = bench.ray.answer

    def lose_the_answer(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        status, text = answer(method, path, body, authorization)
        return (502, "bad gateway") if method == "POST" else (status, text)

    bench.ray.answer = lose_the_answer
    bench.new_reconciler().tick()
    assert attempts(bench, run_id) == [("submitting", None)]

    bench.ray.answer = answer
    bench.clock.advance(20)
    bench.new_reconciler().tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert submitted(bench, run_id) == ["g0-train-a1"]


def test_a_reconciler_that_died_before_its_submit_is_followed_by_the_same_submit(bench: Workbench, run_id: str) -> None:
    bench.ray.down = True
    bench.new_reconciler().tick()  # nothing reached Ray, as if the reconciler had died
    bench.ray.down = False
    bench.clock.advance(20)

    bench.new_reconciler().tick()

    assert submitted(bench, run_id) == ["g0-train-a1"]
    assert attempts(bench, run_id) == [("submitted", None)]


def test_a_head_without_an_agent_is_asked_again_with_the_same_id(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    no_agent = (500, "No available agent to submit job, please try again later.")
    bench.ray.answers += [(404, "Job does not exist"), no_agent]

    reconciler.tick()
    assert attempts(bench, run_id) == [("submitting", None)]
    reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert submitted(bench, run_id) == ["g0-train-a1"]


def test_a_lost_job_starts_a_new_attempt(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()

    bench.lose_jobs(reconciler)
    bench.clock.advance(1)
    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "job_lost"), ("submitted", None)]
    assert bench.ray.spec_of(f"{run_id}-g0-train-a2").attempt == 2
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(run_id).state == "succeeded"


def test_a_result_of_an_earlier_attempt_is_not_taken_for_this_ones(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    old = bench.ray.spec_of(f"{run_id}-g0-train-a1")
    bench.lose_jobs(reconciler)
    bench.clock.advance(1)
    reconciler.tick()

    failure = f'{{"attempt": {old.attempt}, "reason": "user_error", "message": "late"}}'
    write_bytes(f"{old.folder_uri}/failure.json", failure.encode())
    write_bytes(f"{old.folder_uri}/result.json", b'{"attempt": 1}')
    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "job_lost"), ("submitted", None)]


def test_a_job_that_ray_forgets_for_a_moment_is_not_lost(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    jobs = dict(bench.ray.jobs)

    bench.ray.jobs.clear()
    reconciler.tick()
    bench.clock.advance(LOST_AFTER_SECONDS - 1)
    reconciler.tick()
    bench.ray.jobs.update(jobs)
    reconciler.tick()
    bench.ray.jobs.clear()
    bench.clock.advance(LOST_AFTER_SECONDS - 1)
    reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]


def test_a_proxys_404_is_not_rays_word_that_there_is_no_job(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.answers += [(404, "<html>Not Found</html>")] * 5
    for _ in range(5):
        bench.clock.advance(LOST_AFTER_SECONDS)
        reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert "ray_unavailable" in [event.kind for event in bench.queries.list_events(run_id).items]


def test_an_attempt_that_ends_while_ray_forgets_its_job_is_told_so_in_a_file(bench: Workbench, run_id: str) -> None:
    """The job may be alive, or a delayed reconciler may submit it late. It reads this before its work."""
    reconciler = bench.new_reconciler()
    reconciler.tick()

    bench.commands.cancel_run(run_id)
    bench.lose_jobs(reconciler)
    reconciler.tick()

    assert bench.queries.get_run(run_id).state == "cancelled"
    control = ArtifactLayout(bench.settings.artifact_root).control(StageKey(run_id, 0, "train"), 1)
    assert StageControl.model_validate_json(read_bytes(control)).command == "stop"


def test_ray_being_away_changes_nothing(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.down = True

    for _ in range(3):
        reconciler.tick()
        bench.clock.advance(60)
    assert attempts(bench, run_id) == [("submitted", None)]

    bench.ray.down = False
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(run_id).state == "succeeded"


def test_an_outage_is_logged_once(bench: Workbench, run_id: str, caplog: pytest.LogCaptureFixture) -> None:
    reconciler = bench.new_reconciler()
    bench.ray.down = True

    for _ in range(5):
        reconciler.tick()

    assert sum("waiting" in record.message for record in caplog.records) == 1


def test_a_job_on_a_node_that_has_gone_does_not_hold_up_its_run_for_ever(bench: Workbench, run_id: str) -> None:
    """Ray keeps saying that the job runs, and responds 500 to every stop, because its agent is gone."""
    reconciler = bench.reconciler()
    reconciler.tick()
    job_id = f"{run_id}-g0-train-a1"
    bench.ray.write_failure(job_id, FailureReason.STAGE_ERROR)
    answer = bench.ray.answer

    def refuse_to_stop(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        return (500, "no such agent") if path.endswith("/stop") else answer(method, path, body, authorization)

    bench.ray.answer = refuse_to_stop
    for _ in range(30):
        bench.clock.advance(5)
        reconciler.tick()
    assert bench.queries.get_stage(StageKey(run_id, 0, "train")).attempts[0].state == "failed"
    assert f"{run_id}-g0-train-a2" in bench.ray.jobs
