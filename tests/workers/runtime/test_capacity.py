"""What a stage that cannot begin waits for, given its demand, the nodes, and the groups of nodes that could grow."""

import pytest

from workers.runtime.capacity import ClusterView, Node, NodeGroup, ResourceDemand, shortage
from workers.specs.reports import WaitKind

CPU_GROUP = NodeGroup("cpu", {"CPU": 8.0}, 4)
GPU_GROUP = NodeGroup("gpu-train", {"CPU": 12.0, "GPU": 1.0}, 3)
GROUPS = (CPU_GROUP, GPU_GROUP)


def node(cpus: float, gpus: float = 0, **labels: str) -> Node:
    """A node with these resources and labels. `group` sets the label of the node's group."""
    known = {"ray.io/node-group": labels.pop("group")} if "group" in labels else {}
    return Node({"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}, {**known, **labels})


@pytest.mark.parametrize(
    ("demand", "nodes", "expected"),
    [
        (ResourceDemand(2, 1, 0, "worker"), [node(2)], None),
        (ResourceDemand(2, 1, 0, "worker"), [node(1), node(1)], None),
        (ResourceDemand(10, 0.1, 0, "worker"), [node(1)], None),
        (
            ResourceDemand(1, 1, 1, "actor"),
            [node(2)],
            "needs 1 actor of 1 CPU and 1 GPU; the cluster has 2 CPU and 0 GPU",
        ),
        # The total is enough, but no single node has enough for one worker.
        (ResourceDemand(1, 8, 0, "worker"), [node(4)] * 4, "the cluster has 16 CPU and 0 GPU on 4 nodes"),
        (ResourceDemand(3, 1, 1, "worker"), [node(64, 2)], "needs 3 workers of 1 CPU and 1 GPU each"),
        (ResourceDemand(1, 1, 0, "worker"), [], "the cluster has 0 CPU and 0 GPU on 0 nodes"),
    ],
)
def test_what_the_idle_cluster_has_too_little_of_is_named(
    demand: ResourceDemand, nodes: list[Node], expected: str | None
) -> None:
    short = shortage(demand, ClusterView(tuple(nodes)), begun=True)

    if expected is None:
        assert short is None
    else:
        assert short is not None
        assert expected in short.reason
        assert (short.kind, short.exceeds_cluster) == (WaitKind.CLUSTER_TOO_SMALL, True)


ONE_GPU = ResourceDemand(1, 1, 1, "worker")
FULL = tuple(node(12, 1, group="gpu-train") for _ in range(3))


@pytest.mark.parametrize(
    ("demand", "nodes", "groups", "kind", "exceeds", "words"),
    [
        # There are no nodes yet, and one is to come.
        (ONE_GPU, (), GROUPS, WaitKind.NODE_COMING, True, "a node of gpu-train is to come"),
        (ResourceDemand(3, 1, 1, "worker"), FULL[:1], GROUPS, WaitKind.NODE_COMING, True, "gpu-train is to come"),
        # Others use what there is, and the group can grow.
        (ONE_GPU, FULL[:2], GROUPS, WaitKind.NODE_COMING, False, "a node of gpu-train can come"),
        # Others use what there is, and no group can grow.
        (ONE_GPU, FULL, GROUPS, WaitKind.CLUSTER_FULL, False, "the cluster has them, others use them"),
        (ResourceDemand(3, 1, 1, "worker"), FULL, GROUPS, WaitKind.CLUSTER_FULL, False, "others use them"),
        (ONE_GPU, FULL, (), WaitKind.CLUSTER_FULL, False, "others use them"),
        # More than the group's maximum of nodes, and more than a node has.
        (
            ResourceDemand(4, 1, 1, "worker"),
            FULL[:2],
            GROUPS,
            WaitKind.BEYOND_GROUPS,
            True,
            "no group could ever have it: gpu-train has at most 3 nodes of 12 CPU and 1 GPU; cpu has at most 4 nodes",
        ),
        (
            ResourceDemand(1, 16, 0, "actor"),
            (),
            GROUPS,
            WaitKind.BEYOND_GROUPS,
            True,
            "no group could ever have it: gpu-train has at most 3 nodes of 12 CPU and 1 GPU",
        ),
        # Nodes without a group count too.
        (ResourceDemand(4, 1, 1, "worker"), (node(4, 1),), GROUPS, WaitKind.NODE_COMING, True, "is to come"),
        # The group has no limit.
        (
            ResourceDemand(900, 1, 1, "worker"),
            (),
            (NodeGroup("any", {"CPU": 4.0, "GPU": 2.0}, None),),
            WaitKind.NODE_COMING,
            True,
            "a node of any is to come",
        ),
        # No group has these labels.
        (
            ResourceDemand(1, 1, 1, "worker", {"noisy-student.io/group": "gpu-trian"}),
            (),
            GROUPS,
            WaitKind.BEYOND_GROUPS,
            True,
            "on nodes with noisy-student.io/group=gpu-trian; the cluster has 0 CPU and 0 GPU on 0 nodes; no group "
            "could ever have it: none of cpu or gpu-train has such labels",
        ),
        (
            ResourceDemand(1, 8, 0, "actor", {"ray.io/node-group": "!in(gpu-label, gpu-train)"}),
            FULL,
            GROUPS,
            WaitKind.NODE_COMING,
            True,
            "a node of cpu is to come",
        ),
        # A group may have labels that are not known yet.
        (
            ResourceDemand(1, 1, 1, "worker", {"disk": "fast"}),
            (),
            GROUPS,
            WaitKind.NODE_COMING,
            True,
            "a node of gpu-train is to come",
        ),
        # The group's nodes have the label with another value.
        (
            ResourceDemand(1, 1, 1, "worker", {"disk": "fast"}),
            (node(12, 1, group="gpu-train", disk="slow"),),
            (GPU_GROUP,),
            WaitKind.BEYOND_GROUPS,
            True,
            "none of gpu-train has such labels",
        ),
    ],
)
def test_waits_are_told_apart(
    demand: ResourceDemand,
    nodes: tuple[Node, ...],
    groups: tuple[NodeGroup, ...],
    kind: WaitKind,
    exceeds: bool,
    words: str,
) -> None:
    short = shortage(demand, ClusterView(nodes, groups), begun=False)

    assert short is not None
    assert (short.kind, short.exceeds_cluster) == (kind, exceeds)
    assert words in short.reason


def test_a_group_without_a_node_has_the_labels_that_are_given() -> None:
    spot = NodeGroup("gpu-spot", {"CPU": 12.0, "GPU": 1.0}, 3, {"ray.io/market-type": "spot"})
    paid = ResourceDemand(1, 1, 1, "worker", {"ray.io/market-type": "!spot"})

    short = shortage(paid, ClusterView((), (spot,)), begun=False)

    assert short is not None
    assert (short.kind, "none of gpu-spot has such labels" in short.reason) == (WaitKind.BEYOND_GROUPS, True)
    assert shortage(paid, ClusterView((), (GPU_GROUP,)), begun=False).kind is WaitKind.NODE_COMING


def test_work_that_has_begun_waits_for_nothing() -> None:
    assert shortage(ONE_GPU, ClusterView(FULL, GROUPS), begun=True) is None
