"""What goes wrong on a cluster that grows and shrinks: nothing is lost or done twice, and no node is left."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.scenarios import SCENARIOS, Played, play, with_datasets
from tests.rehearsal.watch import stages_of
from workers.specs.reports import WaitKind

pytestmark = pytest.mark.long
Cluster = tuple[Rehearsal, dict[str, str]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # The pods of a group without machines give up soon, but not before a slow machine has started theirs.
    with Rehearsal(pod_wait_seconds=40) as rehearsal:
        yield rehearsal, with_datasets(rehearsal)


def played(cluster: Cluster, name: str) -> Played:
    """The scenario's outcome, of which everything holds that must hold for each."""
    rehearsal, datasets = cluster
    result = play(rehearsal, SCENARIOS[name], datasets)
    assert result.complaints == [], rehearsal.journal.text()
    assert rehearsal.state.nodes() == []
    return result


def attempts(result: Played, stage: str) -> list[str | None]:
    """Why each attempt of a stage of the first run ended; None for one that succeeded."""
    return [each.failure_reason for each in stages_of(result.outcome.runs[0])[stage].attempts]


def test_a_spot_node_that_is_taken_back_costs_no_attempt(cluster: Cluster) -> None:
    result = played(cluster, "a spot node is taken back in training")

    assert attempts(result, "gen-0/train") == [None]


def test_nodes_that_lose_their_power_cost_no_attempt(cluster: Cluster) -> None:
    result = played(cluster, "nodes lose their power")

    assert attempts(result, "gen-0/train") == [None]
    assert attempts(result, "gen-1/label") == [None]


def test_a_new_head_knows_no_job_and_training_goes_on_from_its_checkpoint(cluster: Cluster) -> None:
    result = played(cluster, "the head is lost")

    assert attempts(result, "gen-0/train") == ["job_lost", None]
    trained = stages_of(result.outcome.runs[0])["gen-0/train"].result
    assert trained is not None
    assert trained["resumed_from_step"] >= 20


def test_an_autoscaler_that_is_killed_starts_again_and_jobs_go_on(cluster: Cluster) -> None:
    result = played(cluster, "the autoscaler is killed")

    assert attempts(result, "gen-0/train") == attempts(result, "gen-0/evaluate") == [None]


def test_another_group_takes_over_from_one_without_machines(cluster: Cluster) -> None:
    rehearsal, _ = cluster
    before = len(rehearsal.journal.created("gpu-train"))

    result = played(cluster, "the preferred group has no machines")

    assert len(rehearsal.journal.created("gpu-train")) > before
    assert attempts(result, "gen-0/evaluate") == [None]


def test_ten_stages_share_a_cluster_with_room_for_two(cluster: Cluster) -> None:
    rehearsal, _ = cluster
    before = len(rehearsal.journal.entries)

    result = played(cluster, "ten stages wait on a cluster with room for two")

    assert Counter(run.state for run in result.outcome.runs) == {"succeeded": 10}
    assert WaitKind.CLUSTER_FULL in {each.waiting for each in result.outcome.of("gen-0/train")}
    there, most = 0, 0
    for each in rehearsal.journal.entries[before:]:
        there += {"creates": 1, "has ended": -1}.get(each.what, 0) if each.group == "cpu" else 0
        most = max(most, there)
    assert most <= 2


def test_an_upgrade_that_resets_the_replicas_loses_nothing(cluster: Cluster) -> None:
    result = played(cluster, "an upgrade resets the replicas under load")

    assert attempts(result, "gen-0/train") == [None]
