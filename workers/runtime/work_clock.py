"""When the work of a pool of actors began and ended, by the actors' own clocks."""

from workers.runtime.stage_reporter import StageReporter


class WorkClock:
    """Tells the reporter the earliest beginning and the latest end of any shard: what lies outside is set-up."""

    def __init__(self, reporter: StageReporter) -> None:
        self._reporter = reporter
        self._started_at: float | None = None
        self._ended_at = 0.0

    def add(self, started_at: float, ended_at: float) -> None:
        """One shard's times, Unix seconds. Shards come in any order."""
        self._started_at = started_at if self._started_at is None else min(self._started_at, started_at)
        self._ended_at = max(self._ended_at, ended_at)
        self._reporter.begin_work(self._started_at)
        self._reporter.end_work(self._ended_at)

    def rate(self, items: int) -> float:
        """Items a second of work; 0 before any."""
        if self._started_at is None:
            return 0.0
        return items / max(1e-6, self._ended_at - self._started_at)
