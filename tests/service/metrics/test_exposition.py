"""The port of the metrics: its own, without a key, and another one for each process of a machine."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.metrics.exposition import MetricsPortTaken, new_registry, serve
from tests.service.metrics.scrape import Scrape


@pytest.fixture
def registry() -> CollectorRegistry:
    return new_registry("api")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """One after which some are free."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_metrics_are_served_as_prometheus_reads_them(registry: CollectorRegistry) -> None:
    port = serve(registry, "127.0.0.1", 0, 1)

    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert Scrape(answer.text).total("noisy_student_build_info", component="api") == 1


def test_a_process_takes_the_next_port_where_another_has_the_first(
    registry: CollectorRegistry, taken_port: int
) -> None:
    port = serve(registry, "127.0.0.1", taken_port, 20)

    assert taken_port < port < taken_port + 20
    assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200


def test_a_process_without_a_free_port_says_what_to_set(registry: CollectorRegistry, taken_port: int) -> None:
    with pytest.raises(MetricsPortTaken, match="NOISY_STUDENT_METRICS__PROCESSES"):
        serve(registry, "127.0.0.1", taken_port, 1)


def test_an_address_that_is_not_this_machines_is_named(registry: CollectorRegistry) -> None:
    with pytest.raises(MetricsPortTaken, match=r"192\.0\.2\.1"):
        serve(registry, "192.0.2.1", 0, 1)
