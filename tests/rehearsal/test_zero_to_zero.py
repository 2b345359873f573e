"""One run on a cluster without nodes: each stage brings the nodes of its group, and in the end all are gone."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.faults.watch import Watch
from noisy_student.local.demo.run import register_digits
from service.views.runs import RunView
from tests.rehearsal.checks import lost_or_doubled
from tests.rehearsal.cluster_state import Journal
from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.small_runs import small_run
from tests.rehearsal.watch import Outcome, rehearse, stages_of
from workers.specs.node_labels import OWN_GROUP
from workers.specs.reports import WaitKind


@dataclass(frozen=True)
class Played:
    """A run, another that no group could ever run, and what became of the cluster."""

    outcome: Outcome
    journal: Journal
    nodes_left: int
    complaints: list[str]

    @property
    def run(self) -> RunView:
        return self.outcome.runs[0]

    @property
    def beyond(self) -> RunView:
        return self.outcome.runs[1]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    with Rehearsal() as rehearsal:
        datasets = register_digits(rehearsal.client, rehearsal.datasets, seed=3)
        three = {"num_workers": 3, "gpus_per_worker": 0, "node_labels": {OWN_GROUP: "cpu"}}
        bodies = [small_run(datasets), small_run(datasets, generations=0, train=three, name="three of two")]
        with Watch(rehearsal.artifacts) as watch:
            outcome = rehearse(rehearsal, bodies)
        rehearsal.wait_for_zero()
        complaints = lost_or_doubled(outcome.runs[:1], watch, rehearsal.datasets / "unlabeled")
        yield Played(outcome, rehearsal.journal, len(rehearsal.state.nodes()), complaints)


def test_a_run_succeeds_from_zero_nodes_and_its_labels_and_models_are_right(played: Played) -> None:
    assert (played.run.state, played.run.state_reason) == ("succeeded", None), played.journal.text()
    assert played.complaints == []
    student = stages_of(played.run)["gen-1/train"]
    assert json.loads((Path(student.folder_uri) / "model.json").read_text("utf-8"))["classes"] == list("0123456789")


def test_each_group_grows_when_its_stage_asks_for_it_and_not_before(played: Played) -> None:
    began = {stage: _first_running(played, stage) for stage in ("gen-0/train", "gen-0/evaluate")}
    cpu, gpu = (played.journal.created(group) for group in ("cpu", "gpu-label"))

    assert len(cpu) >= 2
    assert began["gen-0/train"] < cpu[0].seconds < cpu[1].seconds < began["gen-0/evaluate"]
    # Training, the first teacher's included, started none; evaluation was the first to ask.
    assert began["gen-0/evaluate"] < gpu[0].seconds


def test_no_cpu_work_starts_a_node_with_a_gpu(played: Played) -> None:
    assert played.journal.created("gpu-train") == []
    asked = {"gen-0/evaluate", "gen-1/label", "gen-1/evaluate"}
    for node in played.journal.created("gpu-label"):
        running = {each.stage for each in played.outcome.sights if _is_running_at(played, each.stage, node.seconds)}
        assert running & asked, f"{node} while {running} ran\n{played.journal.text()}"


@pytest.mark.parametrize(("stage", "group"), [("gen-0/train", "cpu"), ("gen-0/evaluate", "gpu-label")])
def test_a_stage_says_that_a_node_is_coming_for_as_long_as_it_is_true(played: Played, stage: str, group: str) -> None:
    sights = [each for each in played.outcome.of(stage) if each.run_id == played.run.id]
    waits = [each for each in sights if each.waiting is not None]

    started = [each for each in played.journal.entries if each.group == group and each.what.startswith("starts in")]
    before = [each for each in waits if each.seconds < started[0].seconds]
    assert {each.waiting for each in before} == {WaitKind.NODE_COMING}, played.journal.text()
    assert group in before[0].reason
    after = [each for each in sights if each.seconds > waits[-1].seconds]
    assert after[-1].state == "succeeded"


def test_all_nodes_are_gone_afterwards(played: Played) -> None:
    assert played.nodes_left == 0
    created = {each.pod for group in ("cpu", "gpu-label") for each in played.journal.created(group)}
    ended = {each.pod for each in played.journal.entries if each.what == "has ended"}
    assert created <= ended


def test_a_stage_beyond_every_group_ends_at_once_with_the_groups_limit(played: Played) -> None:
    stage = stages_of(played.beyond)["gen-0/train"]

    assert played.beyond.state == "failed"
    assert "no group could ever have it: cpu has at most 2 nodes of 1 CPU" in (played.beyond.state_reason or "")
    (attempt,) = stage.attempts
    assert attempt.failure_reason == "unschedulable"
    assert attempt.finished_at is not None
    assert stage.progress is not None
    # Its patience is an hour.
    assert attempt.finished_at.timestamp() - stage.progress.entered_at < 120


def _first_running(played: Played, stage: str) -> float:
    return next(
        each.seconds for each in played.outcome.of(stage) if each.run_id == played.run.id and each.state == "running"
    )


def _is_running_at(played: Played, stage: str, seconds: float) -> bool:
    before = [each for each in played.outcome.of(stage) if each.run_id == played.run.id and each.seconds <= seconds]
    return bool(before) and before[-1].state == "running"
