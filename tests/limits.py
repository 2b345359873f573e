"""No test runs forever: pytest-timeout fails one that hangs, and this module ends the process if that is impossible.

It is impossible if the main thread is in a C call that never returns, or if the fixtures hang at their end as well.
"""

import faulthandler
import os
from collections.abc import Iterator

import pytest

END_TO_END_LIMIT_SECONDS = 1500
"""The limit of an end-to-end test, including the start of the stack for the first one."""
_GRACE_SECONDS = 60
"""How long a process may take to record pytest-timeout's failure and end its fixtures. A healthy one needs a few."""
_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_stderr] = os.dup(2)  # pytest replaces it by a file while tests run


def pytest_unconfigure(config: pytest.Config) -> None:
    # Otherwise a hanging thread would prevent the process from ending.
    _end_process_in(config, _GRACE_SECONDS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _end_process_in(item.config, limit_seconds(item) + _GRACE_SECONDS)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    # pytest-timeout has just cancelled its own watch, and the fixtures still have to end.
    if isinstance(node, pytest.Item):
        _end_process_in(node.config, limit_seconds(node) + _GRACE_SECONDS)


def limit_seconds(item: pytest.Item) -> float:
    """The seconds that pytest-timeout allows the test."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else float(item.config.getini("timeout"))


def _end_process_in(config: pytest.Config, seconds: float) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[_stderr])
