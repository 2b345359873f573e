"""Which groups of nodes a stage knows of: those of the settings, else those that an autoscaler has recorded in Ray."""

from types import SimpleNamespace

import pytest
import ray
from ray._private.state import state

from workers.runtime.capacity import NodeGroup
from workers.runtime.node_groups import look_at_cluster
from workers.specs.node_labels import KnownGroup


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = SimpleNamespace(name="recorded", resources={"CPU": 4.0}, max_count=-1)
    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr(state, "get_cluster_config", lambda: SimpleNamespace(node_group_configs=[recorded]))


def test_groups_of_the_settings_come_first() -> None:
    known = (
        KnownGroup(name="cpu", cpus=8, max_nodes=4),
        KnownGroup(name="gpu", cpus=12, gpus=1, labels={"ray.io/market-type": "spot"}),
    )

    assert look_at_cluster(known).groups == (
        NodeGroup("cpu", {"CPU": 8.0}, 4),
        NodeGroup("gpu", {"CPU": 12.0, "GPU": 1.0}, None, {"ray.io/market-type": "spot"}),
    )


def test_without_them_those_that_an_autoscaler_has_recorded_count() -> None:
    assert look_at_cluster().groups == (NodeGroup("recorded", {"CPU": 4.0}, None),)
