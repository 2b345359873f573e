"""Fixtures: one service for all tests of the inputs, because it takes longer to start than most of them."""

from collections.abc import Iterator

import pytest

from benchmarks.inputs.service_process import ServiceProcess


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The API as a separate process with an empty home."""
    with ServiceProcess(tmp_path_factory.mktemp("service") / "home") as service:
        yield service
