"""A log is followed from look to look without a line lost or repeated."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisy_student import Client
from noisy_student.log_following import new_lines
from tests.support.application import StubRay


@given(st.lists(st.text(), unique=True, max_size=30), st.integers(0, 30), st.integers(1, 12))
def test_each_line_of_a_log_comes_once(log: list[str], step: int, window: int) -> None:
    got: list[str] = []
    before: list[str] = []
    for end in range(0, len(log) + 1, min(step, window) or 1):
        now = log[:end][-window:]
        found, has_gap = new_lines(before, now)
        assert not has_gap or not set(before) & set(now)
        got += found
        before = now
    assert got == log[: len(got)]


def test_a_log_that_grows_too_fast_is_said_to_have_a_gap() -> None:
    assert new_lines(["a", "b"], ["b", "c"]) == (["c"], False)
    assert new_lines(["a", "b"], ["y", "z"]) == (["y", "z"], True)
    assert new_lines([], ["y", "z"]) == (["y", "z"], False)
    assert new_lines(["a", "a"], ["a", "a", "a"]) == (["a"], False)


@pytest.fixture
def api(server: str) -> Client:
    return Client(server)


def test_the_logs_of_all_stages_are_followed_to_the_end(
    api: Client, run_id: str, ray: StubRay, reconcile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.holding = True
    reconcile()
    ray.printed = "one\ntwo\nhalf"
    looks = 0

    def goes_on(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            ray.printed = "one\ntwo\nhalf a line\nthree\n"
        else:
            ray.holding = False
            ray.printed = "one\ntwo\nhalf a line\nthree\nfour\n"
            reconcile()

    monkeypatch.setattr("noisy_student.transport.time.sleep", goes_on)
    parts = list(api.stages.follow_logs(run_id, lines=2))

    first = [line for part in parts if part.submission_id == f"{run_id}-g0-train-a1" for line in part.lines]
    assert first == ["one", "two", "half a line", "three", "four"]
    assert {part.submission_id for part in parts} >= {f"{run_id}-g0-train-a1"}
    assert not any(part.is_after_gap for part in parts)


def test_one_attempt_of_a_run_that_has_ended_is_printed_and_over(api: Client, finished_run: str) -> None:
    [part] = api.stages.follow_logs(finished_run, 1, "train", 1, lines=1)
    assert part.lines == ["last line"]
    assert part.submission_id == f"{finished_run}-g1-train-a1"
