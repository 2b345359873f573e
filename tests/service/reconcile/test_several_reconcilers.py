"""Of several reconcilers only one works, whoever sleeps, stops or takes over; on both databases."""

import threading
from typing import Any

import pytest

from service.reconcile.loop import Reconciler
from tests.at_once import at_once
from tests.support.workbench import ALL_STAGES, MakeConfig, Workbench, attempts, submitted


def test_two_reconcilers_at_once_submit_every_job_once(bench: Workbench, run_id: str, run_config: MakeConfig) -> None:
    others = [bench.commands.create_run(run_config()).id for _ in range(2)]
    reconcilers = [bench.new_reconciler(), bench.new_reconciler()]

    for _ in range(40):
        at_once([reconciler.tick for reconciler in reconcilers])
        for job_id, job in list(bench.ray.jobs.items()):
            if job["status"] == "RUNNING":
                bench.ray.write_result(job_id)
                bench.ray.end(job_id)
        if all(bench.queries.get_run(run).state == "succeeded" for run in (run_id, *others)):
            break

    ids = [body["submission_id"] for body in bench.ray.submits]
    assert len(ids) == len(set(ids)) == 3 * len(ALL_STAGES)


def test_a_second_reconciler_takes_over_only_when_the_lease_has_expired(bench: Workbench, run_id: str) -> None:
    first, second = bench.new_reconciler(), bench.new_reconciler()
    first.tick()
    bench.ray.write_result(f"{run_id}-g0-train-a1")

    second.tick()
    assert submitted(bench, run_id) == ["g0-train-a1"]
    bench.clock.advance(bench.settings.reconciler.lease_seconds)
    second.tick()

    assert submitted(bench, run_id) == ["g0-train-a1", "g0-evaluate-a1"]


@pytest.mark.parametrize("held_up_in", ["GET", "POST"])
def test_a_reconciler_that_slept_through_its_lease_writes_nothing(
    bench: Workbench, run_id: str, held_up_in: str
) -> None:
    """One is delayed before or in its submission, until the other has taken over and replaced the lost attempt."""
    answer = bench.ray.answer
    late, second = bench.new_reconciler(), bench.new_reconciler()
    overtaken = False

    def overtake(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        nonlocal overtaken
        if method == held_up_in and not overtaken:
            overtaken = True
            bench.clock.advance(bench.settings.reconciler.lease_seconds)
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


def test_a_stopped_reconciler_gives_its_runs_back_at_once(bench: Workbench, run_id: str) -> None:
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

    reconciler.tick = tick_and_stop
