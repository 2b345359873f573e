"""The reconciler on both kinds of database, against a jobs API that is a real HTTP server."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from service.artifact_layout import ArtifactLayout
from service.decide import STOP_AGAIN_SECONDS, UNSTOPPABLE_SECONDS
from service.reconcile.job_statuses import LOST_AFTER_SECONDS
from service.reconcile.loop import Reconciler
from service.run_config import RunConfig
from service.store.snapshot_store import load_snapshot
from workers.artifact_io import exists, read_bytes, write_bytes
from workers.specs.reports import FailureReason, StageControl
from workers.specs.results import StageTiming

MakeConfig = Callable[..., RunConfig]
ALL_STAGES = ["g0-train", "g0-evaluate", "g1-label", "g1-select", "g1-train", "g1-evaluate"]


@pytest.fixture
def run_id(bench: Any, run_config: MakeConfig) -> str:
    run_id: str = bench.commands.create_run(run_config()).id
    return run_id


def submitted(bench: Any, run_id: str) -> list[str]:
    """The ids of all submits that Ray has seen, in order, without the run's."""
    return [body["submission_id"].removeprefix(f"{run_id}-") for body in bench.ray.submits]


def attempts(bench: Any, run_id: str, generation: int = 0, stage: str = "train") -> list[tuple[str, str | None]]:
    views = bench.queries.get_stage(run_id, generation, stage).attempts
    return [(view.state, view.failure_reason) for view in views]


def test_a_run_goes_through_all_its_stages_one_after_the_other(bench: Any, run_id: str) -> None:
    bench.play_to_the_end(bench.new_reconciler())

    run = bench.queries.get_run(run_id)
    assert run.state == "succeeded"
    assert run.finished_at is not None
    assert submitted(bench, run_id) == [f"{stage}-a1" for stage in ALL_STAGES]
    assert {generation.state for generation in run.generation_details} == {"succeeded"}
    assert [generation.model.test_top1 for generation in run.generation_details] == [0.5, 0.6]


def test_one_tick_goes_from_a_result_to_the_next_submit(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    assert submitted(bench, run_id) == ["g0-train-a1"]

    bench.ray.write_result(f"{run_id}-g0-train-a1")  # its Ray job has not ended
    reconciler.tick()

    assert submitted(bench, run_id) == ["g0-train-a1", "g0-evaluate-a1"]


def test_the_spec_is_on_file_and_the_intent_on_record_before_the_submit(bench: Any, run_id: str) -> None:
    seen: list[tuple[int, str]] = []
    answer = bench.ray.answer

    def look(method: str, path: str, body: Any, authorization: str) -> tuple[int, str]:
        if (method, path) == ("POST", "/api/jobs/"):
            with bench.database.read() as session:
                attempt = load_snapshot(session, run_id).current_stage.open_attempt
            bench.ray.jobs["peek"] = body
            seen.append((bench.ray.spec_of("peek").attempt, attempt.state))
            del bench.ray.jobs["peek"]
        return answer(method, path, body, authorization)

    bench.ray.answer = look
    bench.new_reconciler().tick()

    assert seen == [(1, "submitting")]


def test_a_submit_whose_answer_was_lost_is_not_made_twice(bench: Any, run_id: str) -> None:
    answer = bench.ray.answer

    def lose_the_answer(method: str, path: str, body: Any, authorization: str) -> tuple[int, str]:
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


def test_a_reconciler_that_died_before_its_submit_is_followed_by_the_same_submit(bench: Any, run_id: str) -> None:
    bench.ray.down = True
    bench.new_reconciler().tick()  # nothing reached Ray: as good as dead
    bench.ray.down = False
    bench.clock.advance(20)

    bench.new_reconciler().tick()

    assert submitted(bench, run_id) == ["g0-train-a1"]
    assert attempts(bench, run_id) == [("submitted", None)]


def test_a_head_without_an_agent_is_asked_again_with_the_same_id(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    no_agent = (500, "No available agent to submit job, please try again later.")
    bench.ray.answers += [(404, "Job does not exist"), no_agent]

    reconciler.tick()
    assert attempts(bench, run_id) == [("submitting", None)]
    reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert submitted(bench, run_id) == ["g0-train-a1"]


def test_a_lost_job_starts_a_new_attempt(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()

    bench.lose_jobs(reconciler)
    bench.clock.advance(1)
    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "job_lost"), ("submitted", None)]
    assert bench.ray.spec_of(f"{run_id}-g0-train-a2").attempt == 2
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(run_id).state == "succeeded"


def test_a_result_of_an_earlier_attempt_is_not_taken_for_this_ones(bench: Any, run_id: str) -> None:
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


def test_a_result_written_just_before_the_job_ended_is_not_missed(bench: Any, run_id: str) -> None:
    """The files are read again once Ray says that the job is over."""
    reconciler = bench.new_reconciler()
    reconciler.tick()
    answer = bench.ray.answer
    job_id = f"{run_id}-g0-train-a1"

    def finish_while_asked(method: str, path: str, body: Any, authorization: str) -> tuple[int, str]:
        if path == f"/api/jobs/{job_id}":
            bench.ray.write_result(job_id)
            bench.ray.end(job_id)
        return answer(method, path, body, authorization)

    bench.ray.answer = finish_while_asked
    reconciler.tick()

    assert attempts(bench, run_id) == [("succeeded", None)]


def test_a_job_that_ends_without_a_word_is_tried_again_up_to_the_limit(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    for number in range(1, 5):
        reconciler.tick()
        bench.ray.end(f"{run_id}-g0-train-a{number}", "FAILED", "driver was killed")
        reconciler.tick()
        bench.clock.advance(60)
    reconciler.tick()

    run = bench.queries.get_run(run_id)
    assert run.state == "failed"
    assert run.state_reason.startswith("generation 0, train: job_failed: ")
    assert "driver was killed" in run.state_reason
    assert attempts(bench, run_id) == [("failed", "job_failed")] * 4
    assert [generation.state for generation in run.generation_details] == ["failed", "pending"]


def test_a_result_that_cannot_be_read_fails_the_attempt(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    spec = bench.ray.spec_of(f"{run_id}-g0-train-a1")
    write_bytes(f"{spec.folder_uri}/result.json", b'{"attempt": 1, "stage": "train", "surprise": true}')

    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "stage_error")]
    assert bench.ray.stops == [f"{run_id}-g0-train-a1"]


def test_no_new_attempt_while_the_job_of_the_last_one_is_alive(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.stop_ends_jobs = False
    job_id = f"{run_id}-g0-train-a1"
    bench.ray.write_failure(job_id, FailureReason.STAGE_ERROR)

    for _ in range(3):
        reconciler.tick()
        bench.clock.advance(2)
    assert attempts(bench, run_id) == [("stopping", "stage_error")]
    assert bench.ray.stops == [job_id]

    bench.ray.end(job_id, "STOPPED")
    reconciler.tick()
    bench.clock.advance(1)
    reconciler.tick()
    assert attempts(bench, run_id) == [("failed", "stage_error"), ("submitted", None)]


def test_a_job_that_ray_forgets_for_a_moment_is_not_lost(bench: Any, run_id: str) -> None:
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


def test_a_proxys_404_is_not_rays_word_that_there_is_no_job(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.answers += [(404, "<html>Not Found</html>")] * 5
    for _ in range(5):
        bench.clock.advance(LOST_AFTER_SECONDS)
        reconciler.tick()

    assert attempts(bench, run_id) == [("submitted", None)]
    assert "ray_unavailable" in [event.kind for event in bench.queries.list_events(run_id).items]


def test_an_attempt_that_ends_while_ray_forgets_its_job_is_told_so_in_a_file(bench: Any, run_id: str) -> None:
    """The job may be alive, or be submitted late by a reconciler that was held up: it reads this before its work."""
    reconciler = bench.new_reconciler()
    reconciler.tick()

    bench.commands.cancel_run(run_id)
    bench.lose_jobs(reconciler)
    reconciler.tick()

    assert bench.queries.get_run(run_id).state == "cancelled"
    control = ArtifactLayout(bench.settings.artifact_root).control(run_id, 0, "train", 1)
    assert StageControl.model_validate_json(read_bytes(control)).command == "stop"


def test_a_run_is_cancelled_although_the_artifact_root_cannot_be_written(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    control = ArtifactLayout(bench.settings.artifact_root).control(run_id, 0, "train", 1)
    write_bytes(f"{control}/in_the_way", b"")  # a folder where the file should be

    bench.commands.cancel_run(run_id)
    for _ in range(4):
        reconciler.tick()
        bench.clock.advance(STOP_AGAIN_SECONDS)

    assert bench.ray.stops == [f"{run_id}-g0-train-a1"]
    assert bench.queries.get_run(run_id).state == "cancelled"


def test_a_job_that_promises_to_stop_and_does_not_is_given_up(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.stop_ends_jobs = False

    bench.commands.cancel_run(run_id)
    for _ in range(30):
        reconciler.tick()
        bench.clock.advance(UNSTOPPABLE_SECONDS / 20)
    reconciler.tick()

    assert bench.queries.get_run(run_id).state == "cancelled"
    assert 2 < len(bench.ray.stops) < 20


def test_a_refused_submit_fails_the_attempt(bench: Any, run_id: str) -> None:
    bench.ray.answers += [(404, "Job does not exist"), (400, "TypeError: metadata")]

    bench.new_reconciler().tick()

    assert attempts(bench, run_id) == [("failed", "submit_failed")]


def test_a_cancelled_run_stops_its_job_and_waits_for_it(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.ray.stop_ends_jobs = False

    bench.commands.cancel_run(run_id)
    reconciler.tick()
    assert bench.queries.get_run(run_id).state == "cancelling"
    bench.ray.end(f"{run_id}-g0-train-a1", "STOPPED")
    reconciler.tick()

    run = bench.queries.get_run(run_id)
    assert run.state == "cancelled"
    assert attempts(bench, run_id) == [("cancelled", "cancelled")]
    assert run.generation_details[0].stages[0].state == "cancelled"
    assert bench.ray.stops == [f"{run_id}-g0-train-a1"]


def test_a_cancelled_run_can_be_retried_and_cancelled_again(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    for number in (1, 2):
        reconciler.tick()
        bench.commands.cancel_run(run_id)
        reconciler.tick()
        assert bench.queries.get_run(run_id).state == "cancelled"
        assert submitted(bench, run_id)[-1] == f"g0-train-a{number}"
        bench.commands.retry_run(run_id)
    bench.commands.cancel_run(run_id)  # before the reconciler has looked at the retry
    reconciler.tick()
    assert bench.queries.get_run(run_id).state == "cancelled"

    bench.commands.retry_run(run_id)
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(run_id).state == "succeeded"


def test_a_run_cancelled_before_it_began_ends_without_a_job(bench: Any, run_id: str) -> None:
    bench.commands.cancel_run(run_id)
    bench.new_reconciler().tick()

    assert bench.queries.get_run(run_id).state == "cancelled"
    assert bench.ray.submits == []


def test_ray_being_away_changes_nothing(bench: Any, run_id: str) -> None:
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


def test_an_outage_is_logged_once(bench: Any, run_id: str, caplog: pytest.LogCaptureFixture) -> None:
    reconciler = bench.new_reconciler()
    bench.ray.down = True

    for _ in range(5):
        reconciler.tick()

    assert sum("waiting" in record.message for record in caplog.records) == 1


def test_a_job_on_a_node_that_has_gone_does_not_hold_up_its_run_for_ever(bench: Any, run_id: str) -> None:
    """Ray goes on saying that it runs, and answers 500 to every stop: its agent is not there any more."""
    reconciler = bench.reconciler()
    reconciler.tick()
    job_id = f"{run_id}-g0-train-a1"
    bench.ray.write_failure(job_id, FailureReason.STAGE_ERROR)
    answer = bench.ray.answer

    def refuse_to_stop(method: str, path: str, body: Any, authorization: str) -> tuple[int, str]:
        return (500, "no such agent") if path.endswith("/stop") else answer(method, path, body, authorization)

    bench.ray.answer = refuse_to_stop
    for _ in range(30):
        bench.clock.advance(5)
        reconciler.tick()
    assert bench.queries.get_stage(run_id, 0, "train").attempts[0].state == "failed"
    assert f"{run_id}-g0-train-a2" in bench.ray.jobs


def test_a_run_that_cannot_be_reconciled_does_not_stop_the_others(
    bench: Any, run_id: str, run_config: MakeConfig
) -> None:
    bench.clock.advance(1)
    second = bench.commands.create_run(run_config()).id
    layout = ArtifactLayout(bench.settings.artifact_root)
    write_bytes(f"{bench.settings.artifact_root}/runs/{run_id}", b"a file where a folder should be")

    bench.new_reconciler().tick()

    assert submitted(bench, second) == ["g0-train-a1"]
    assert exists(layout.spec(second, 0, "train", 1))


def test_two_reconcilers_at_once_submit_every_job_once(bench: Any, run_id: str, run_config: MakeConfig) -> None:
    others = [bench.commands.create_run(run_config()).id for _ in range(2)]
    reconcilers = [bench.new_reconciler(), bench.new_reconciler()]

    for _ in range(40):
        threads = [threading.Thread(target=reconciler.tick) for reconciler in reconcilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for job_id, job in list(bench.ray.jobs.items()):
            if job["status"] == "RUNNING":
                bench.ray.write_result(job_id)
                bench.ray.end(job_id)
        if all(bench.queries.get_run(run).state == "succeeded" for run in (run_id, *others)):
            break

    ids = [body["submission_id"] for body in bench.ray.submits]
    assert len(ids) == len(set(ids)) == 3 * len(ALL_STAGES)


def test_a_second_reconciler_takes_over_only_when_the_lease_has_expired(bench: Any, run_id: str) -> None:
    first, second = bench.new_reconciler(), bench.new_reconciler()
    first.tick()
    bench.ray.write_result(f"{run_id}-g0-train-a1")

    second.tick()
    assert submitted(bench, run_id) == ["g0-train-a1"]
    bench.clock.advance(bench.settings.lease_seconds)
    second.tick()

    assert submitted(bench, run_id) == ["g0-train-a1", "g0-evaluate-a1"]


@pytest.mark.parametrize("held_up_in", ["GET", "POST"])
def test_a_reconciler_that_slept_through_its_lease_writes_nothing(bench: Any, run_id: str, held_up_in: str) -> None:
    """Held up before or inside its submit, until the other has taken over and lost that attempt for the next."""
    answer = bench.ray.answer
    late, second = bench.new_reconciler(), bench.new_reconciler()
    overtaken = False

    def overtake(method: str, path: str, body: Any, authorization: str) -> tuple[int, str]:
        nonlocal overtaken
        if method == held_up_in and not overtaken:
            overtaken = True
            bench.clock.advance(bench.settings.lease_seconds)
            second.tick()  # submits attempt 1 itself
            bench.lose_jobs(second)
            bench.clock.advance(1)
            second.tick()  # attempt 2
            return (404, "Job does not exist") if method == "GET" else (502, "too late")
        return answer(method, path, body, authorization)

    bench.ray.answer = overtake
    late.tick()
    late.tick()

    assert attempts(bench, run_id) == [("failed", "job_lost"), ("submitted", None)]
    assert submitted(bench, run_id) == ["g0-train-a1", "g0-train-a2"]
    assert bench.ray.spec_of(f"{run_id}-g0-train-a2").attempt == 2


def test_a_stopped_reconciler_gives_its_runs_back_at_once(bench: Any, run_id: str) -> None:
    first = bench.new_reconciler()
    stop = threading.Event()
    stop_after_the_first_tick(first, stop)

    first.run_until(stop)
    bench.ray.write_result(f"{run_id}-g0-train-a1")
    bench.new_reconciler().tick()

    assert submitted(bench, run_id) == ["g0-train-a1", "g0-evaluate-a1"]


def stop_after_the_first_tick(reconciler: Reconciler, stop: threading.Event) -> None:
    tick = reconciler.tick

    def tick_and_stop() -> None:
        tick()
        stop.set()

    reconciler.tick = tick_and_stop  # type: ignore[method-assign]


def test_stage_times_say_where_the_time_went(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    created_at = bench.clock()
    bench.clock.advance(2)
    reconciler.tick()
    entered_at = created_at + 5
    timing = StageTiming(entered_at=entered_at, work_started_at=entered_at + 7, work_ended_at=entered_at + 100)
    bench.ray.write_result(f"{run_id}-g0-train-a1", timing)
    bench.clock.now = entered_at + 101
    reconciler.tick()

    times = bench.queries.get_stage(run_id, 0, "train").times

    assert times is not None
    assert (times.waiting_seconds, times.start_seconds, times.setup_seconds, times.finish_seconds) == (2, 3, 7, 1)
    assert (times.total_seconds, times.work_seconds, times.overhead_seconds) == (106, 93, 13)
    following = bench.queries.get_stage(run_id, 0, "evaluate")
    assert following.ready_at == bench.queries.get_stage(run_id, 0, "train").finished_at


def test_the_history_tells_what_happened(bench: Any, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    bench.lose_jobs(reconciler)
    bench.clock.advance(1)
    bench.play_to_the_end(reconciler)

    events = list(reversed(bench.queries.list_events(run_id).items))
    assert [(event.kind, event.stage, event.attempt) for event in events[:5]] == [
        ("run_created", None, None),
        ("attempt_submitted", "train", 1),
        ("attempt_failed", "train", 1),
        ("attempt_submitted", "train", 2),
        ("stage_succeeded", "train", 2),
    ]
    assert events[-1].kind == "run_succeeded"


def test_a_job_says_on_rays_side_which_attempt_it_is(bench: Any, run_id: str) -> None:
    bench.new_reconciler().tick()

    [body] = bench.ray.submits
    assert body["metadata"] == {"run_id": run_id, "generation": "0", "stage": "train", "attempt": "1"}
    assert body["entrypoint"].startswith("'my python' -m workers.entrypoint ")
