"""The reconciler cancels runs whatever their jobs do, on both databases."""

import pytest

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.lifecycle.decide import STOP_AGAIN_SECONDS, SUBMIT_IN_FLIGHT_SECONDS, UNSTOPPABLE_SECONDS
from tests.support.workbench import Workbench, attempts, submitted
from workers.artifact_io import write_bytes


def test_a_run_is_cancelled_although_the_artifact_root_cannot_be_written(bench: Workbench, run_id: str) -> None:
    reconciler = bench.new_reconciler()
    reconciler.tick()
    control = ArtifactLayout(bench.settings.artifact_root).control(StageKey(run_id, 0, "train"), 1)
    write_bytes(f"{control}/in_the_way", b"")  # a folder where the file should be

    bench.commands.cancel_run(run_id)
    for _ in range(4):
        reconciler.tick()
        bench.clock.advance(STOP_AGAIN_SECONDS)

    assert bench.ray.stops == [f"{run_id}-g0-train-a1"]
    assert bench.queries.get_run(run_id).state == "cancelled"


@pytest.mark.parametrize(("command", "state"), [("cancel_run", "cancelled"), ("pause_run", "paused")])
def test_a_run_that_waits_for_a_full_artifact_store_can_be_stopped(
    bench: Workbench, run_id: str, caplog: pytest.LogCaptureFixture, command: str, state: str
) -> None:
    layout = ArtifactLayout(bench.settings.artifact_root)
    for file in (layout.spec(StageKey(run_id, 0, "train"), 1), layout.control(StageKey(run_id, 0, "train"), 1)):
        write_bytes(f"{file}/in_the_way", b"")  # a folder where the file should be
    reconciler = bench.new_reconciler()
    with caplog.at_level("INFO", logger="service.reconcile"):
        for _ in range(5):
            reconciler.tick()
    assert "SubmitAttempt" not in caplog.text, "what is tried in vain does not fill the log"

    getattr(bench.commands, command)(run_id)
    bench.clock.advance(SUBMIT_IN_FLIGHT_SECONDS)
    reconciler.tick()

    assert bench.queries.get_run(run_id).state == state
    assert bench.ray.submits == []


def test_a_job_that_promises_to_stop_and_does_not_is_given_up(bench: Workbench, run_id: str) -> None:
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


def test_a_cancelled_run_stops_its_job_and_waits_for_it(bench: Workbench, run_id: str) -> None:
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


def test_a_cancelled_run_can_be_retried_and_cancelled_again(bench: Workbench, run_id: str) -> None:
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


def test_a_run_cancelled_before_it_began_ends_without_a_job(bench: Workbench, run_id: str) -> None:
    bench.commands.cancel_run(run_id)
    bench.new_reconciler().tick()

    assert bench.queries.get_run(run_id).state == "cancelled"
    assert bench.ray.submits == []
