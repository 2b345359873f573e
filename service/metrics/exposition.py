"""The registry of a process, and the port on which it answers GET /metrics."""

import errno
import logging
import sys
from importlib.metadata import version
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from service.config.settings.groups import MetricsSettings

logger = logging.getLogger(__name__)


class MetricsPortTaken(Exception):
    """No port of those that the settings allow is free."""


def new_registry(component: Literal["api", "reconciler"]) -> CollectorRegistry:
    """A registry that says which version of which part runs, and what the process takes of the machine."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made is one more series for each, which nobody asks for
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    labels = {"version": version("noisy-student"), "component": component}
    Gauge("noisy_student_build_info", "Which version of which part this process is.", labels, registry=registry).labels(
        **labels
    ).set(1)
    return registry


def serve(registry: CollectorRegistry, host: str, first_port: int, ports: int) -> int:
    """Answers scrapes from now on, in threads of its own, on the first free port of `ports` in a row; that port.

    Raises MetricsPortTaken where none is free.
    """
    for port in range(first_port, min(first_port + (ports if first_port else 1), 1 << 16)):
        try:
            server, _ = start_http_server(port, host, registry)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise MetricsPortTaken(f"metrics cannot listen on {host}, port {port}: {error}") from error
        logger.info("metrics are at http://%s:%d/metrics", host, server.server_port)
        return server.server_port
    raise MetricsPortTaken(
        f"metrics: all {ports} port(s) from {first_port} on {host} are taken; change the port, "
        "or set NOISY_STUDENT_METRICS__PROCESSES to how many processes this machine has"
    )


def serve_or_exit(registry: CollectorRegistry, settings: MetricsSettings, port: int) -> None:
    """Answers scrapes on the process's port or one after it. Ends the process where it can have none."""
    try:
        serve(registry, settings.host, port, settings.processes)
    except MetricsPortTaken as error:
        sys.exit(str(error))
