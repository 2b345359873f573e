"""Collects the metrics that come from the database. One look serves all scrapes within a few seconds."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from service.errors import DatabaseUnavailable
from service.metrics.database_figures import LeaseFigures, read_figures
from service.metrics.samples import lease_samples, samples_of
from service.store.database import Database

logger = logging.getLogger(__name__)


class DatabaseCollector(Collector):
    """Thread-safe. `look` reads the metrics from a session; concurrent scrapes wait for one look and share it.

    If the database does not answer, a scrape still succeeds: it reports that, and lacks the other figures.
    """

    def __init__(
        self,
        database: Database,
        look: Callable[[Session], Iterable[Metric]],
        cache_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._look = look
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._looking = threading.Lock()
        self._seen: list[Metric] = []
        self._seen_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Returns nothing, so that registering the collector does not query the database."""
        return []

    def collect(self) -> list[Metric]:
        """The figures, at most `cache_seconds` old."""
        with self._looking:
            if self._monotonic() - self._seen_at >= self._cache_seconds:
                self._seen = self._read()
                self._seen_at = self._monotonic()
            return self._seen

    def _read(self) -> list[Metric]:
        try:
            with self._database.read() as session:
                found = list(self._look(session))
        except DatabaseUnavailable as error:
            logger.warning("metrics: %s", error)
            return [_answers(False)]
        return [_answers(True), *found]


def whole_service(
    clock: Callable[[], float], lease: Callable[[Session], LeaseFigures]
) -> Callable[[Session], Iterator[Metric]]:
    """Returns the look of an API process. `clock` gives Unix seconds."""

    def look(session: Session) -> Iterator[Metric]:
        figures = read_figures(session, clock(), lease)
        yield from samples_of(figures)
        yield from lease_samples(figures.lease)

    return look


def lease_alone(lease: Callable[[Session], LeaseFigures]) -> Callable[[Session], Iterator[Metric]]:
    """Returns the look of a reconciler process."""
    return lambda session: lease_samples(lease(session))


def _answers(up: bool) -> Metric:
    return GaugeMetricFamily("noisy_student_database_up", "Whether the database answered this process.", float(up))
