"""An error in one round does not end a background loop, and a lasting fault is logged once."""

import logging
import threading

import pytest

from service.background import repeat
from service.errors import DatabaseUnavailable


def played(faults: list[Exception | None]) -> int:
    """Runs the loop, and returns the number of rounds. The last one stops it."""
    stop, rounds = threading.Event(), 0

    def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == len(faults):
            stop.set()
        fault = faults[rounds - 1]
        if fault is not None:
            raise fault

    repeat(work, "working", stop, pause_seconds=0.0)
    return rounds


def test_a_fault_that_lasts_is_told_once_and_again_when_it_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    away = DatabaseUnavailable("away")
    with caplog.at_level(logging.WARNING):
        assert played([away, away, None, away, None]) == 5
    assert [record.getMessage() for record in caplog.records] == ["working failed, and is tried again: away"] * 2
    assert all(record.exc_info is None for record in caplog.records)


def test_what_nobody_expected_comes_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert played([KeyError("odd"), None]) == 2
    [record] = caplog.records
    assert record.exc_info is not None
