"""Checks at intervals whether Ray and the artifact store answer, whether or not anything runs."""

import logging
import threading

from prometheus_client import CollectorRegistry, Gauge

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.background import repeat
from service.errors import ArtifactStoreUnavailable, RayUnavailable
from service.ray_client.jobs import RayJobs
from workers.artifact_io import read_bytes_if_there

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 15.0


class AvailabilityProbe:
    """Reports NaN for both until the first look. No check takes longer than `timeout_seconds`."""

    def __init__(
        self, registry: CollectorRegistry, layout: ArtifactLayout, ray_jobs: RayJobs, timeout_seconds: float
    ) -> None:
        self._layout = layout
        self._ray_jobs = ray_jobs
        self._calls = ArtifactCalls(timeout_seconds)
        self._ray_up = Gauge("noisy_student_ray_up", "Whether Ray's jobs API answers this process.", registry=registry)
        self._store_up = Gauge(
            "noisy_student_artifact_store_up", "Whether the artifact store answers this process.", registry=registry
        )
        for unknown in (self._ray_up, self._store_up):
            unknown.set(float("nan"))

    def run_until(self, stop: threading.Event) -> None:
        """Looks until `stop` is set."""
        repeat(self.look, "asking Ray and the artifact store whether they are there", stop, SECONDS_BETWEEN_LOOKS)
        self._calls.close()

    def look(self) -> None:
        """Asks both once."""
        self._ray_up.set(self._does_ray_answer())
        self._store_up.set(self._does_store_answer())

    def _does_ray_answer(self) -> bool:
        try:
            self._ray_jobs.version()
        except RayUnavailable as error:
            logger.debug("%s", error)
            return False
        return True

    def _does_store_answer(self) -> bool:
        uri = self._layout.availability_probe
        try:
            self._calls.one(uri, lambda: read_bytes_if_there(uri))
        except ArtifactStoreUnavailable as error:
            logger.debug("%s", error)
            return False
        return True
