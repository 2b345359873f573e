"""What a spec leaves open is decided by what the cluster has and could have."""

import pytest

from workers.runtime.capacity import ClusterView, Node, NodeGroup
from workers.runtime.placement import settled
from workers.specs.node_labels import NodeChoice, allows
from workers.specs.stages import ActorPool, EvaluateSpec

NODES = NodeChoice(
    cpu_node_labels={"noisy-student.io/accelerator": "!gpu"}, helper_node_labels={"ray.io/node-group": "headgroup"}
)
HEAD = Node({"memory": 1.0}, {"ray.io/node-group": "headgroup"})
CPU_NODE = Node({"CPU": 4.0})
GPU_NODE = Node({"CPU": 4.0, "GPU": 1.0}, {"noisy-student.io/accelerator": "gpu"})
CPU_GROUP, GPU_GROUP = NodeGroup("cpu", {"CPU": 8.0}, 4), NodeGroup("gpu", {"CPU": 8.0, "GPU": 1.0}, 4)


def spec(**pool: object) -> EvaluateSpec:
    return EvaluateSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri="/none",
        seed=0,
        model_uri="/none",
        manifest_uri="/none",
        pool=ActorPool.model_validate(pool),
        nodes=NODES,
    )


@pytest.mark.parametrize(
    ("asked", "view", "gpus", "labels"),
    [
        # A laptop has no labels and no GPU, so a selector that excludes GPU nodes excludes nothing.
        ({}, ClusterView((CPU_NODE,)), 0.0, NODES.cpu_node_labels),
        ({}, ClusterView((CPU_NODE, GPU_NODE)), 1.0, {}),
        # There are no GPU nodes yet, but a group could have GPUs.
        ({}, ClusterView((HEAD,), (CPU_GROUP, GPU_GROUP)), 1.0, {}),
        ({}, ClusterView((HEAD,), (CPU_GROUP,)), 0.0, NODES.cpu_node_labels),
        # The run decides by itself.
        ({"gpus_per_actor": 0.0}, ClusterView((CPU_NODE, GPU_NODE)), 0.0, NODES.cpu_node_labels),
        ({"gpus_per_actor": 0.5}, ClusterView((CPU_NODE,)), 0.5, {}),
        ({"gpus_per_actor": 0.0, "node_labels": {}}, ClusterView((CPU_NODE, GPU_NODE)), 0.0, {}),
        (
            {"node_labels": {"noisy-student.io/group": "cpu"}},
            ClusterView((HEAD,), (CPU_GROUP, GPU_GROUP)),
            0.0,
            {"noisy-student.io/group": "cpu"},
        ),
        # All nodes have GPUs, so CPU work must run on them.
        ({"gpus_per_actor": 0.0}, ClusterView((HEAD, GPU_NODE)), 0.0, {}),
    ],
)
def test_a_pool_has_gpus_and_nodes_as_the_cluster_has_them(
    asked: dict[str, object], view: ClusterView, gpus: float, labels: dict[str, str]
) -> None:
    pool = settled(spec(**asked), view).pool

    assert (pool.gpus_per_actor, pool.node_labels) == (gpus, labels)


def test_helpers_sit_on_the_head_where_the_head_has_the_label() -> None:
    assert settled(spec(), ClusterView((HEAD, CPU_NODE))).nodes.helper_node_labels == NODES.helper_node_labels
    assert settled(spec(), ClusterView((CPU_NODE,))).nodes.helper_node_labels == {}


@pytest.mark.parametrize(
    ("wanted", "value", "allowed"),
    [
        ("gpu", "gpu", True),
        ("gpu", "cpu", False),
        ("gpu", None, False),
        ("!gpu", "gpu", False),
        ("!gpu", None, True),
        ("in(a, b)", "b", True),
        ("in(a,b)", "c", False),
        ("!in(a,b)", "b", False),
        ("!in(a,b)", None, True),
    ],
)
def test_selectors_mean_what_they_mean_to_ray(wanted: str, value: str | None, allowed: bool) -> None:
    assert allows({"kind": wanted}, {} if value is None else {"kind": value}) is allowed
