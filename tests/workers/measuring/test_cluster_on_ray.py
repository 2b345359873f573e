"""On a real Ray, a plan waits for a node that joins later, and leaves it free for what is measured."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.at_once import join
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.network_namespace import network_of_its_own
from workers.measuring.cluster import cluster_seen, wait_for_node
from workers.runtime.capacity import ClusterView, ResourceDemand
from workers.runtime.stage_reporter import StageReporter
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec

pytestmark = [
    pytest.mark.own_process,
    pytest.mark.end_to_end,
    pytest.mark.long,
    pytest.mark.timeout(END_TO_END_LIMIT_SECONDS),
]
GPU = {"noisy-student.io/group": "gpu-train"}


@pytest.fixture
def head_alone() -> Iterator[Cluster]:
    with network_of_its_own():
        cluster = Cluster()
        cluster.add_node(num_cpus=0, include_dashboard=False)
        try:
            ray.init(address=cluster.address, log_to_driver=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def test_a_plan_waits_for_the_node_that_its_training_needs(head_alone: Cluster, tmp_path: Path) -> None:
    spec = SelectSpec(
        run_id="plan-1",
        generation=0,
        attempt=1,
        folder_uri=str(tmp_path),
        seed=0,
        manifest_uri="/none",
        labels_uri="/none",
        classes=("a", "b"),
        settings=SelectionSettings(),
    )
    asked = threading.Event()

    class Reporter(StageReporter):
        def pause_if_asked(self) -> None:
            asked.set()  # a look has found no node

    views: list[ClusterView] = []
    reporter = Reporter(spec, entered_at=0.0)
    demand = ResourceDemand(1, 1.0, 1.0, "worker", GPU)
    # Nodes are added in the main thread, because Ray sets handlers of signals for each.
    waiting = threading.Thread(target=lambda: views.append(wait_for_node(demand, reporter)), daemon=True)
    waiting.start()
    assert asked.wait(60)
    head_alone.add_node(num_cpus=4)  # of the wrong kind
    head_alone.add_node(num_cpus=2, num_gpus=1, labels=GPU)
    join(waiting)

    seen = cluster_seen(views[0])
    assert (seen.gpus, seen.cpus_beside_gpus, seen.most_gpus) == (1.0, 2.0, None)

    @ray.remote(num_cpus=1, num_gpus=1, label_selector=GPU)
    def measured() -> str:
        return "on the node that was waited for"

    assert ray.get(measured.remote(), timeout=60) == "on the node that was waited for"
