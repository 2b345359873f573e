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
    """None of the ports that the settings allow can be used."""


def new_registry(component: Literal["api", "reconciler"]) -> CollectorRegistry:
    """Returns a registry with the version of this component and the resources of its process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made is one more series for each, which nobody asks for
    collectors = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=collectors)
    labels = {"version": version("noisy-student"), "component": component}
    Gauge(
        "noisy_student_build_info", "Which version of which part this process is.", labels, registry=collectors
    ).labels(**labels).set(1)
    return collectors


def serve(registry: CollectorRegistry, host: str, first_port: int, ports: int) -> int:
    """Serves scrapes in background threads on the first free port of `ports` consecutive ones. Returns that port.

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
    """Serves scrapes on `port` or one of the next. Ends the process with a message if none can be used."""
    try:
        serve(registry, settings.host, port, settings.processes)
    except MetricsPortTaken as error:
        sys.exit(str(error))
