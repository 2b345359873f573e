"""A worker that learns that its node will be taken away wishes for a checkpoint, once."""

import threading
from collections.abc import Iterator

import pytest

from workers.runtime.internals import INTERNALS_VARIABLE
from workers.specs.internals import LibraryInternals
from workers.training.group import checkpoint_wish
from workers.training.group.checkpoint_wish import take_wish, wish_for_checkpoint
from workers.training.group.drain_notice import wait_for_notice, watch_this_node


@pytest.fixture(autouse=True)
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_wish, "_wished", threading.Event())


def test_a_wish_is_taken_once() -> None:
    wish_for_checkpoint()
    wish_for_checkpoint()

    assert [take_wish(), take_wish()] == [True, False]


def test_it_looks_until_the_node_is_draining_and_passes_over_looks_that_ray_does_not_answer() -> None:
    def answers() -> Iterator[bool]:
        yield from (False, False)
        raise ConnectionError("the GCS is away")

    looks = 0
    told = answers()

    def is_draining() -> bool:
        nonlocal looks
        looks += 1
        assert not take_wish()
        return True if looks > 3 else next(told)

    wait_for_notice(is_draining, every_seconds=0.0)

    assert looks == 4
    assert take_wish()


def test_a_ray_that_cannot_tell_is_not_asked_for_ever() -> None:
    with pytest.raises(AttributeError):
        wait_for_notice(lambda: object().get_draining_nodes(), every_seconds=0.0)  # type: ignore[attr-defined]


def test_the_setting_turns_the_watch_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERNALS_VARIABLE, LibraryInternals(ray_drain_notices=False).model_dump_json())

    watch_this_node()

    assert "drain-notice" not in {thread.name for thread in threading.enumerate()}
