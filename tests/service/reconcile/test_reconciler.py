"""The reconciler on both kinds of database, against a jobs API that is a real HTTP server."""

from typing import Any

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.store.snapshot_store import load_snapshot
from tests.support.changed_settings import changed
from tests.support.workbench import ALL_STAGES, MakeConfig, Workbench, attempts, submitted
from workers.artifact_io import exists, write_bytes
from workers.specs.reports import FailureReason
from workers.specs.results import StageTiming


def test_a_run_goes_through_all_its_stages_one_after_the_other(bench: Workbench, run_id: str) -> None:
    bench.play_to_the_end(bench.new_reconciler())

    run = bench.queries.get_run(run_id)
    assert run.state == "succeeded"
    assert run.finished_at is not None
    assert submitted(bench, run_id) == [f"{stage}-a1" for stage in ALL_STAGES]
    assert {generation.state for generation in run.generation_details} == {"succeeded"}
    assert [generation.model.test_top1 for generation in run.generation_details] == [0.5, 0.6]


def test_one_tick_goes_from_a_result_to_the_next_submit(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    assert submitted(bench, run_id) == ["g0-train-a1"]

    bench.ray.write_result(f"{run_id}-g0-train-a1")  # the Ray job itself has not ended
    reconciler.tick()

    assert submitted(bench, run_id) == ["g0-train-a1", "g0-evaluate-a1"]


def test_the_spec_is_on_file_and_the_intent_on_record_before_the_submit(bench: Workbench, run_id: str) -> None:
    seen: list[tuple[int, str]] = []
    answer = bench.ray.answer

    def look(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        if (method, path) == ("POST", "/api/jobs/"):
            with bench.database.read() as session:
                attempt = load_snapshot(session, run_id).current_stage.open_attempt
            assert body is not None
            bench.ray.jobs["peek"] = body
            seen.append((bench.ray.spec_of("peek").attempt, attempt.state))
            del bench.ray.jobs["peek"]
        return answer(method, path, body, authorization)

    bench.ray.answer = look
    bench.new_reconciler().tick()

    assert seen == [(1, "submitting")]


def test_a_result_written_just_before_the_job_ended_is_not_missed(bench: Workbench, run_id: str) -> None:
    """The files are read again once Ray says that the job is over."""
    reconciler = bench.new_reconciler()
    reconciler.tick()
    answer = bench.ray.answer
    job_id = f"{run_id}-g0-train-a1"

    def finish_while_asked(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        if path == f"/api/jobs/{job_id}":
            bench.ray.write_result(job_id)
            bench.ray.end(job_id)
        return answer(method, path, body, authorization)

    bench.ray.answer = finish_while_asked
    reconciler.tick()

    assert attempts(bench, run_id) == [("succeeded", None)]


def test_a_job_that_ends_without_a_word_is_tried_again_up_to_the_limit(bench: Workbench, run_id: str) -> None:
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
    assert "driver was killed" in str(run.state_reason)
    assert attempts(bench, run_id) == [("failed", "job_failed")] * 4
    assert [generation.state for generation in run.generation_details] == ["failed", "pending"]


def test_a_result_that_cannot_be_read_fails_the_attempt(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    spec = bench.ray.spec_of(f"{run_id}-g0-train-a1")
    write_bytes(f"{spec.folder_uri}/result.json", b'{"attempt": 1, "stage": "train", "surprise": true}')

    reconciler.tick()

    assert attempts(bench, run_id) == [("failed", "stage_error")]
    assert bench.ray.stops == [f"{run_id}-g0-train-a1"]


def test_no_new_attempt_while_the_job_of_the_last_one_is_alive(bench: Workbench, run_id: str) -> None:
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


def test_a_refused_submit_fails_the_attempt(bench: Workbench, run_id: str) -> None:
    bench.ray.answers += [(404, "Job does not exist"), (400, "TypeError: metadata")]

    bench.new_reconciler().tick()

    assert attempts(bench, run_id) == [("failed", "submit_failed")]


def test_a_run_that_cannot_be_reconciled_does_not_stop_the_others(
    bench: Workbench, run_id: str, run_config: MakeConfig
) -> None:
    bench.clock.advance(1)
    second = bench.commands.create_run(run_config()).id
    layout = ArtifactLayout(bench.settings.artifact_root)
    write_bytes(f"{bench.settings.artifact_root}/runs/{run_id}", b"a file where a folder should be")

    bench.new_reconciler().tick()

    assert submitted(bench, second) == ["g0-train-a1"]
    assert exists(layout.spec(StageKey(second, 0, "train"), 1))


def test_stage_times_say_where_the_time_went(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    created_at = bench.clock()
    bench.clock.advance(2)
    reconciler.tick()
    entered_at = created_at + 5
    timing = StageTiming(entered_at=entered_at, work_started_at=entered_at + 7, work_ended_at=entered_at + 100)
    bench.ray.write_result(f"{run_id}-g0-train-a1", timing)
    bench.clock.now = entered_at + 101
    reconciler.tick()

    times = bench.queries.get_stage(StageKey(run_id, 0, "train")).times

    assert times is not None
    assert (times.waiting_seconds, times.start_seconds, times.setup_seconds, times.finish_seconds) == (2, 3, 7, 1)
    assert (times.total_seconds, times.work_seconds, times.overhead_seconds) == (106, 93, 13)
    following = bench.queries.get_stage(StageKey(run_id, 0, "evaluate"))
    assert following.ready_at == bench.queries.get_stage(StageKey(run_id, 0, "train")).finished_at


def test_the_history_tells_what_happened(bench: Workbench, run_id: str) -> None:
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


def test_a_job_says_on_rays_side_which_attempt_it_is(bench: Workbench, run_id: str) -> None:
    bench.new_reconciler().tick()

    [body] = bench.ray.submits
    assert body["metadata"] == {
        "job_name": f"{run_id}/0/train",
        "run_id": run_id,
        "generation": "0",
        "stage": "train",
        "attempt": "1",
    }
    assert body["entrypoint"].startswith("'my python' -m workers.entrypoint ")


def test_a_stage_is_told_the_roots_of_the_projects_of_its_datasets(bench: Workbench, run_id: str) -> None:
    by_project = {"default": ("/data",), "x": ("/x",)}
    bench.restart(changed(bench.settings, datasets__roots=("/shared",), datasets__roots_by_project=by_project))
    bench.new_reconciler().tick()

    assert bench.ray.spec_of(f"{run_id}-g0-train-a1").dataset_roots == ("/data",)
