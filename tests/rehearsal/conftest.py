"""Marks: every test that plays a cluster is an end-to-end test with its long limit."""

from pathlib import Path

import pytest

from tests.limits import END_TO_END_LIMIT_SECONDS

_PURE = "test_kuberay_operator"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.stem != _PURE:
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.timeout(END_TO_END_LIMIT_SECONDS))
