"""Measures how much memory the service's processes gain while they work on one input."""

import threading

from benchmarks.inputs.service_process import ServiceProcess

_POLL_SECONDS = 0.05


class PeakMemory:
    """Samples memory in a thread, from construction until `gained_mib`."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self._before = service.memory_mib()
        self._peak = self._before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def gained_mib(self) -> float:
        """Ends the measurement, and returns the largest increase in MiB."""
        self._over.set()
        self._thread.join(10.0)
        return self._peak - self._before

    def _look(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            self._peak = max(self._peak, self._service.memory_mib())
