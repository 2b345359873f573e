"""The requests that a process of the API has answered."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Other methods share one label value: a client could invent any number of them, each a new series."""


class RequestFigures:
    """Keeps the counter and the histogram of each label set, so that counting a request costs microseconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "noisy_student_http_requests_total",
            "Requests that this process has answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "noisy_student_http_request_duration_seconds",
            "From a request's headers to the beginning of its answer.",
            ["method", "route"],
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answer. `route` is the template that the request's path fits, never the path itself."""
        key = (method if method in _METHODS else "other", route, status)
        known = self._known.get(key)
        if known is None:
            known = self._answered.labels(key[0], route, str(status)), self._seconds.labels(key[0], route)
            self._known[key] = known
        counter, histogram = known
        counter.inc()
        histogram.observe(seconds)
