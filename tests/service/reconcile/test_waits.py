"""What a run's history says about outages."""

from service.config.events import EventKind
from service.reconcile.waits import QUIET_SECONDS, WaitReason, Waits
from tests.support.fake_clock import FakeClock


def told(waits: Waits) -> list[tuple[EventKind, str]]:
    events = [(event.kind, event.message) for event in waits.untold]
    waits.forget_told()
    return events


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(clock: FakeClock) -> None:
    waits = Waits(clock)
    for _ in range(5):
        waits.begin("run-1", WaitReason.RAY, "no answer")
        clock.advance(2)
    waits.end("run-1")
    waits.end("run-1")

    assert told(waits) == [("ray_unavailable", "no answer"), ("ray_available", "after 10 s")]
    assert told(waits) == []


def test_an_outage_that_comes_and_goes_does_not_fill_the_history(clock: FakeClock) -> None:
    waits = Waits(clock)
    for _ in range(10):
        waits.begin("run-1", WaitReason.RAY, "500")
        clock.advance(1)
        waits.end("run-1")
        clock.advance(1)

    assert [kind for kind, _ in told(waits)] == ["ray_unavailable", "ray_available"]
    clock.advance(QUIET_SECONDS)
    waits.begin("run-1", WaitReason.RAY, "500 again")
    assert told(waits) == [("ray_unavailable", "500 again")]


def test_one_trouble_after_the_other_is_told_in_order(clock: FakeClock) -> None:
    waits = Waits(clock)
    assert waits.begin("run-1", WaitReason.RAY, "no answer")
    assert waits.begin("run-1", WaitReason.ARTIFACT_STORE, "disk full")
    waits.end("run-1")

    kinds = [kind for kind, _ in told(waits)]
    assert kinds == ["ray_unavailable", "ray_available", "artifact_store_unavailable", "artifact_store_available"]


def test_runs_that_are_over_are_forgotten(clock: FakeClock) -> None:
    waits = Waits(clock)
    waits.begin("run-1", WaitReason.FAULT, "KeyError: 'x'")
    waits.forget_all_but(["run-2"])

    assert "run-1" not in waits
