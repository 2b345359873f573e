"""Metrics of the reconciler's loop. Only the process that holds the lease sees runs; the others report zero."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, Histogram

from service.lifecycle.snapshots import Observed, RunSnapshot
from service.metrics.samples import STAGES
from service.ray_client.job_status import JobStatus

_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FRESH_SECONDS = 60.0
"""The rate of a stage whose last report is older counts as zero."""
_RATE = "images_per_second"


class ReconcilerFigures:
    """Written by the loop's thread. `clock` gives Unix seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, Observed]] = {}
        """By run id: the stage that has an open attempt, and what was last seen of it."""
        self._ticks = Histogram(
            "noisy_student_reconciler_tick_seconds",
            "How long this process has looked at all active runs, or whether it is to.",
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self._last_tick = Gauge(
            "noisy_student_reconciler_last_tick_timestamp_seconds",
            "When this process last came to the end of a tick.",
            registry=registry,
        )
        self._holds_lease = Gauge(
            "noisy_student_reconciler_lease_held", "Whether this process reconciles.", registry=registry
        )
        self._jobs = Gauge(
            "noisy_student_reconciler_jobs", "Open attempts by Ray's word on their job.", ["status"], registry=registry
        )
        self._waiting = Gauge(
            "noisy_student_reconciler_waiting_runs",
            "Runs that wait for what is not theirs, by reason.",
            ["reason"],
            registry=registry,
        )
        self._rate = Gauge(
            "noisy_student_images_per_second",
            "What running stages last reported, added up.",
            ["stage"],
            registry=registry,
        )

    @contextmanager
    def tick(self) -> Iterator[None]:
        """Times one tick. A tick that raises does not count as the last one that ended."""
        began_at = time.perf_counter()
        try:
            yield
            self._last_tick.set(self._clock())
        finally:
            self._ticks.observe(time.perf_counter() - began_at)

    def saw(self, runs: Sequence[RunSnapshot], observed: Mapping[str, Observed]) -> None:
        """Records the latest observation of each run; `observed` is by run id."""
        for run in runs:
            stage = run.current_stage
            if stage is None or stage.open_attempt is None:
                self._seen.pop(run.run_id, None)
            else:
                self._seen[run.run_id] = (stage.name, observed[run.run_id])

    def forget_all_but(self, run_ids: Collection[str]) -> None:
        """Drops runs that are over."""
        for run_id in self._seen.keys() - set(run_ids):
            del self._seen[run_id]

    def reconciled(self, waiting: Mapping[str, int]) -> None:
        """Publishes the figures after a tick with the lease. `waiting` counts waiting runs by reason."""
        self._holds_lease.set(1)
        self._show(waiting)

    def stood_by(self, waiting: Mapping[str, int]) -> None:
        """Resets the figures: another process holds the lease and reports them."""
        self._holds_lease.set(0)
        self._seen.clear()
        self._show(waiting)

    def _show(self, waiting: Mapping[str, int]) -> None:
        for reason, count in waiting.items():
            self._waiting.labels(reason).set(count)
        statuses = [observed.job for _, observed in self._seen.values()]
        for status in JobStatus:
            self._jobs.labels(status.lower()).set(statuses.count(status))
        for stage in STAGES:
            self._rate.labels(stage).set(
                sum(self._rate_of(seen) for name, seen in self._seen.values() if name == stage)
            )

    def _rate_of(self, observed: Observed) -> float:
        progress = observed.progress
        if progress is None or self._clock() - progress.updated_at > FRESH_SECONDS:
            return 0.0
        return progress.values.get(_RATE, 0.0)
