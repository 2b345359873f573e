"""Marks: every test that plays a cluster is an end-to-end test with its long limit, in a process of its own."""

from pathlib import Path

import pytest

from tests.limits import END_TO_END_LIMIT_SECONDS

_WITHOUT_RAY = ("test_kuberay_operator", "test_kubelet", "test_scenarios")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.stem not in _WITHOUT_RAY:
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.own_process)
            item.add_marker(pytest.mark.timeout(END_TO_END_LIMIT_SECONDS))
