"""Calls to an artifact store that hangs or refuses, with real threads that hang until the test releases them."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from service.artifacts.timed_calls import THREADS, ArtifactCalls
from service.errors import ArtifactStoreUnavailable
from tests.at_once import LONG_SECONDS, wait_until


@pytest.fixture
def calls() -> Iterator[ArtifactCalls]:
    calls = ArtifactCalls(timeout_seconds=0.5)
    yield calls
    calls.close()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def refuse() -> None:
    raise PermissionError(13, "Permission denied")


def test_what_the_store_refuses_is_a_reason_and_the_others_are_answered(calls: ArtifactCalls) -> None:
    answers = calls.many({"a": lambda: 1, "b": refuse, "c": lambda: 3})

    assert (answers["a"], answers["c"]) == (1, 3)
    assert "Permission denied" in str(answers["b"])
    with pytest.raises(ArtifactStoreUnavailable, match="Permission denied"):
        calls.one("b", refuse)


def test_a_mistake_of_ours_is_no_trouble_of_the_store(calls: ArtifactCalls) -> None:
    with pytest.raises(ZeroDivisionError):
        calls.one("a", lambda: 1 // 0)


def test_a_call_that_hangs_is_not_waited_for_and_not_made_again(calls: ArtifactCalls, let_go: threading.Event) -> None:
    asked: list[int] = []

    def hang() -> bool:
        asked.append(1)
        return let_go.wait(LONG_SECONDS)

    for _ in range(3):
        answers = calls.many({"hangs": hang, "works": lambda: True})
        assert isinstance(answers["hangs"], ArtifactStoreUnavailable)
        assert answers["works"] is True
    assert asked == [1]


def test_a_call_that_returned_at_last_is_made_again(calls: ArtifactCalls, let_go: threading.Event) -> None:
    over = threading.Event()
    with pytest.raises(ArtifactStoreUnavailable, match=r"does not answer within 0\.5 s"):
        calls.one("a", lambda: (let_go.wait(LONG_SECONDS), over.set()))

    let_go.set()
    assert over.wait(LONG_SECONDS)
    wait_until(lambda: all(call.done() for call in calls._hanging.values()), "its thread to put the answer down")
    assert calls.one("a", lambda: 7) == 7


def test_when_all_threads_hang_every_call_is_refused_at_once(calls: ArtifactCalls, let_go: threading.Event) -> None:
    calls.many(dict.fromkeys(range(3 * THREADS), partial(let_go.wait, LONG_SECONDS)))

    answers = calls.many({"other": lambda: 1})

    assert isinstance(answers["other"], ArtifactStoreUnavailable)
    let_go.set()
