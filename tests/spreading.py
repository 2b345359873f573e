"""Which process of `pytest -n` runs which test: two have a stack each for end-to-end tests, the others run the rest."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_ROOT = Path(__file__).parents[1]
_END_TO_END = "tests/end_to_end/"
_REHEARSAL = "tests/rehearsal/"
_ROUGH = ("test_faults", "test_killed_stack", "test_access", "test_closed_doors")
"""Files whose tests kill parts of their stack or wait little. They share a stack, so that other runs continue."""


class TwoStacks(LoadScopeScheduling):
    """End-to-end tests wait for processes that import torch, so two groups of them take half as long as one.

    `--dist loadgroup` does not work: pytest-xdist 3.8 marks groups in an attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """The scope of a test. Tests with the same scope run in one process."""
    path = nodeid.partition("::")[0]
    if not nodeid.startswith(_END_TO_END):
        return path if _has_fixtures_of_its_module(path) else nodeid
    file = nodeid.removeprefix(_END_TO_END).partition(".py")[0]
    return "a stack that is hurt" if file in _ROUGH else "a stack that is left in peace"


@cache
def _has_fixtures_of_its_module(path: str) -> bool:
    """Whether the file's tests share something that each process would make anew, such as a cluster or a training."""
    return 'scope="module"' in (_ROOT / path).read_text(encoding="utf-8")


def turn_of(nodeid: str) -> int:
    """Which tests a session with several processes begins with: those that take longest, so that none is left alone."""
    if nodeid.startswith(_END_TO_END):
        return 0
    if nodeid.startswith(_REHEARSAL):
        return 1
    return 2 if scope_of(nodeid) != nodeid else 3


@pytest.hookimpl(trylast=True)  # after the order has become random
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)  # there is nothing to distribute without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoStacks:
    config.option.loadscopereorder = False  # by the number of tests, which says little
    return TwoStacks(config, log)
