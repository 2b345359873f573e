"""Which process of `pytest -n` runs which test: two have a stack each for end-to-end tests, the others run the rest."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_END_TO_END = "tests/end_to_end/"
_ONE_CLUSTER = ("tests/rehearsal/", "tests/workers/runtime/test_placement_on_ray.py")
"""Files, or folders of files, whose tests share a cluster that takes long to start."""
_ROUGH = ("test_faults", "test_killed_stack", "test_access", "test_closed_doors")
"""Files whose tests kill parts of their stack or wait little. They share a stack, so that other runs continue."""


class TwoStacks(LoadScopeScheduling):
    """End-to-end tests wait for processes that import torch, so two groups of them take half as long as one.

    They start first in any order, because the scheduler sorts by the number of tests. `--dist loadgroup` does not work:
    pytest-xdist 3.8 marks groups in an attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """The scope of a test. Tests with the same scope run in one process."""
    if nodeid.startswith(_ONE_CLUSTER):
        return nodeid.partition("::")[0]
    if not nodeid.startswith(_END_TO_END):
        return nodeid
    file = nodeid.removeprefix(_END_TO_END).partition(".py")[0]
    return "a stack that is hurt" if file in _ROUGH else "a stack that is left in peace"


@pytest.hookimpl(optionalhook=True)  # there is nothing to distribute without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoStacks:
    return TwoStacks(config, log)
