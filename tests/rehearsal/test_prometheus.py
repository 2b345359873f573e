"""A real Prometheus scrapes a rehearsal: every series that rules and dashboards ask for is there, and alerts fire."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from noisy_student.local.demo.run import register_digits
from service.lifecycle.states import UNFINISHED_RUNS
from tests.deploy.test_rules import DASHBOARDS, RULES, expressions_of, without_variables
from tests.rehearsal.cluster_state import HEAD_GROUP
from tests.rehearsal.prometheus import hurried, scraping
from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.small_runs import small_run

pytestmark = pytest.mark.long
A_HUNDREDTH = 0.01
"""Of all durations in the alert rules: a stage waits too long after six seconds, and a head is down after one."""
NOT_HERE = {
    "ray_node_gpus_utilization": "Ray reads it from a GPU, of which this machine has none",
    "ray_noisy_student_stage_gpu_memory_bytes": "only a process that trains on a GPU has it",
}
"""Metrics that rules or dashboards ask for and that a rehearsal cannot have, with the reason."""
_METRIC = re.compile(r"\b(?:ray|autoscaler|noisy_student|process)_\w+")


@dataclass(frozen=True)
class Watched:
    """What Prometheus knew of a cluster on which one run worked and another waited, and whose head was then lost."""

    names: set[str]
    refusals: dict[str, str]
    """Expressions of rules and dashboards that it could not evaluate, with the reason."""
    fired_before: set[str]
    """The alerts that fired at the beginning, without work."""
    fired_at_end: set[str]
    """The alerts that fired once the head was gone."""


def expressions() -> list[str]:
    """All expressions of rules and dashboards, with an interval in place of Grafana's variables."""
    of_rules = [
        rule["expr"]
        for file in RULES
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    of_dashboards = [each for dashboard in DASHBOARDS for each in expressions_of(dashboard)]
    return [without_variables(each) for each in (*of_rules, *of_dashboards)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    one_at_once = {"settings": {"reconciler": {"max_concurrent_stages": 1}}}
    rules = [hurried(file.read_text(encoding="utf-8"), A_HUNDREDTH) for file in RULES]
    with Rehearsal(one_at_once) as rehearsal:
        targets = rehearsal.scrape_targets
        of_service = {job: targets[job] for job in ("api", "reconciler")}
        [head] = rehearsal.state.pods(HEAD_GROUP)
        of_ray = rehearsal.kubelet.folder_of(head.name) / "prom_metrics_service_discovery.json"
        with scraping(folder, rules, of_service, of_ray) as prometheus:
            rehearsal.wait_for(lambda: "ray_cluster_idle_nodes" in prometheus.names(), "a scrape of an idle head")
            rehearsal.wait_for(lambda: "RayHeadDown" not in prometheus.firing(), "the end of the first alerts")
            fired_before = prometheus.firing()
            datasets = register_digits(rehearsal.client, rehearsal.datasets, seed=3)
            works, waits = (
                rehearsal.client.runs.create(small_run(datasets, generations=0, name=name))
                for name in ("works", "waits")
            )
            rehearsal.wait_for(
                lambda: "NoisyStudentStageWaitsTooLong" in prometheus.firing(), "the alert on a stage that waits"
            )
            rehearsal.client.runs.cancel(waits.id)
            rehearsal.wait_for(
                lambda: rehearsal.client.runs.get(works.id).state not in UNFINISHED_RUNS, "the end of the run"
            )
            assert rehearsal.client.runs.get(works.id).state == "succeeded"
            names = prometheus.names()
            refusals = {each: why for each in expressions() if (why := prometheus.refusal(each))}
            rehearsal.kubelet.kill(head.name)
            rehearsal.wait_for(lambda: "RayHeadDown" in prometheus.firing(), "the alert on the head")
            yield Watched(names, refusals, fired_before, prometheus.firing())


def test_each_series_that_rules_and_dashboards_ask_for_is_there_or_explained(watched: Watched) -> None:
    asked = {name for each in expressions() for name in _METRIC.findall(each)}
    assert asked - watched.names == NOT_HERE.keys()


def test_prometheus_evaluates_every_expression(watched: Watched) -> None:
    assert watched.refusals == {}


def test_the_alert_on_the_head_fires_when_it_is_lost_and_not_before(watched: Watched) -> None:
    assert "RayHeadDown" not in watched.fired_before
    assert "RayHeadDown" in watched.fired_at_end


def test_the_alert_on_a_waiting_stage_fires_only_while_one_waits(watched: Watched) -> None:
    # The fixture has seen it fire.
    assert "NoisyStudentStageWaitsTooLong" not in watched.fired_before
    assert "NoisyStudentStageWaitsTooLong" not in watched.fired_at_end
