"""Turns the database's figures into Prometheus metrics. Pure. Label values that have not occurred yet report zero."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.lifecycle.states import ENDED_ATTEMPTS, OPEN_ATTEMPTS, AttemptState, RunState, StageState
from service.metrics.database_figures import DatabaseFigures, LeaseFigures, succeeded_stages
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName

STAGES: tuple[str, ...] = get_args(StageName)
_FAILURES = tuple(reason for reason in FailureReason if reason not in (FailureReason.PAUSED, FailureReason.CANCELLED))


def samples_of(figures: DatabaseFigures) -> Iterator[Metric]:
    """Returns all metrics except the lease's."""
    yield from _work(figures)
    yield from _attempts(figures)
    yield from _images(figures)
    yield from _webhooks(figures)


def lease_samples(lease: LeaseFigures) -> Iterator[Metric]:
    """How long ago it was renewed, and how often it has changed hands."""
    yield GaugeMetricFamily(
        "noisy_student_reconciler_lease_age_seconds",
        "Since the reconciler that holds the lease last renewed it; infinite where nobody holds it.",
        lease.age_seconds,
    )
    yield CounterMetricFamily(
        "noisy_student_reconciler_lease_claims_total", "How often a reconciler has taken the lease.", lease.claims
    )


def _work(figures: DatabaseFigures) -> Iterator[Metric]:
    runs = GaugeMetricFamily("noisy_student_runs", "Runs of every kind by state.", labels=["state"])
    for run_state in RunState:
        runs.add_metric([run_state], figures.runs.get(run_state, 0))
    yield runs
    stages = GaugeMetricFamily("noisy_student_stages", "Stages by state.", labels=["stage", "state"])
    counts = dict(figures.unfinished_stages)
    counts.update({(stage, StageState.SUCCEEDED.value): count for stage, count in succeeded_stages(figures).items()})
    for stage in STAGES:
        for state in StageState:
            stages.add_metric([stage, state], counts.get((stage, state), 0))
    yield stages
    yield GaugeMetricFamily(
        "noisy_student_queue_stages", "Stages that are ready and not on the cluster.", figures.queued_stages
    )
    yield GaugeMetricFamily(
        "noisy_student_queue_oldest_wait_seconds",
        "How long the one that has waited longest has been ready.",
        figures.oldest_wait_seconds,
    )
    spent = CounterMetricFamily(
        "noisy_student_device_seconds_total", "What attempts have taken of GPUs, or of CPUs.", labels=["project"]
    )
    for project, seconds in sorted(figures.device_seconds.items()):
        spent.add_metric([project], seconds)
    yield spent


def _attempts(figures: DatabaseFigures) -> Iterator[Metric]:
    under_way = GaugeMetricFamily("noisy_student_attempts_open", "Attempts whose job may be alive.", labels=["state"])
    for state in sorted(OPEN_ATTEMPTS):
        under_way.add_metric([state], figures.open_attempts.get(state, 0))
    yield under_way
    ended: Counter[tuple[str, str]] = Counter({(stage, state): 0 for stage in STAGES for state in ENDED_ATTEMPTS})
    failed: Counter[tuple[str, str]] = Counter({(stage, reason): 0 for stage in STAGES for reason in _FAILURES})
    for (stage, outcome, reason), count in figures.ended_attempts.items():
        ended[stage, outcome] += count
        if outcome == AttemptState.FAILED:
            failed[stage, reason] += count
    attempts = CounterMetricFamily(
        "noisy_student_attempts_total", "Attempts that have ended.", labels=["stage", "outcome"]
    )
    for labels, count in sorted(ended.items()):
        attempts.add_metric(labels, count)
    yield attempts
    failures = CounterMetricFamily(
        "noisy_student_attempt_failures_total", "Attempts that have failed, by reason.", labels=["stage", "reason"]
    )
    for labels, count in sorted(failed.items()):
        failures.add_metric(labels, count)
    yield failures


def _images(figures: DatabaseFigures) -> Iterator[Metric]:
    for stage, what, meaning in (
        ("label", "labeled", "Images that label stages have given pseudo labels."),
        ("select", "selected", "Distinct images that select stages have kept."),
        ("train", "trained", "Images that train stages have learned from, each as often as it was seen."),
    ):
        yield CounterMetricFamily(f"noisy_student_images_{what}_total", meaning, figures.images.get(stage, 0))


def _webhooks(figures: DatabaseFigures) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily(
        "noisy_student_webhook_deliveries", "Deliveries that wait, and that were given up.", labels=["state"]
    )
    for state, count in sorted(figures.deliveries.items()):
        deliveries.add_metric([state], count)
    yield deliveries
    yield GaugeMetricFamily(
        "noisy_student_webhook_unqueued_events",
        "Events that the webhook furthest behind has not been looked through for.",
        figures.unqueued_events,
    )
