"""Finds when the work of a pool of actors began and ended, by the actors' own clocks."""

from workers.runtime.stage_reporter import StageReporter


class WorkClock:
    """Tells the reporter the first beginning and the last end of any shard. Time outside of these is set-up."""

    def __init__(self, reporter: StageReporter) -> None:
        self._reporter = reporter
        self._started_at: float | None = None
        self._ended_at = 0.0

    def add(self, started_at: float, ended_at: float) -> None:
        """Adds the times of one shard (Unix seconds). Shards may come in any order."""
        self._started_at = started_at if self._started_at is None else min(self._started_at, started_at)
        self._ended_at = max(self._ended_at, ended_at)
        self._reporter.begin_work(self._started_at)
        self._reporter.end_work(self._ended_at)

    def rate(self, items: int) -> float:
        """How many items were done a second of work; 0 before the first shard."""
        if self._started_at is None:
            return 0.0
        return items / max(1e-6, self._ended_at - self._started_at)
