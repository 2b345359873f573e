"""A plan measures on the nodes that the run's stages would get, also if there are none yet."""

import pytest

from service.config.cluster_shape import ClusterShape, shape_of
from workers.measuring.cluster import cluster_seen, room_for
from workers.runtime.capacity import ClusterView, Node, NodeGroup, demand_of_group, demand_of_pool
from workers.runtime.placement import settled
from workers.specs.measure import MeasuredStudent
from workers.specs.node_labels import NODE_GROUP, OWN_GROUP
from workers.specs.recipe import Recipe
from workers.specs.stages import ActorPool, MeasureSpec
from workers.specs.worker_group import WorkerGroup

HEAD = Node({"memory": 1.0}, {NODE_GROUP: "headgroup"})
CPU_GROUP = NodeGroup("cpu", {"CPU": 8.0}, 4)
GPU_GROUP = NodeGroup("gpu", {"CPU": 12.0, "GPU": 2.0}, 3)
ZERO = ClusterView((HEAD,), (CPU_GROUP, GPU_GROUP))


def node_of(group: NodeGroup) -> Node:
    return Node(group.resources, {NODE_GROUP: group.name, OWN_GROUP: group.name})


def spec(workers: WorkerGroup = WorkerGroup(), pool: ActorPool = ActorPool()) -> MeasureSpec:
    return MeasureSpec(
        run_id="plan-1",
        generation=0,
        attempt=1,
        folder_uri="/none",
        seed=0,
        classes=("a", "b"),
        students=(MeasuredStudent(model="small", recipe=Recipe(steps=1, batch_size=8), pseudo_labeled=False),),
        labeled_manifest_uri="/none",
        unlabeled_manifest_uri=None,
        validation_manifest_uri="/none",
        test_manifest_uri="/none",
        workers=workers,
        pool=pool,
        sample_seconds=1.0,
    )


def test_from_zero_a_plan_asks_for_a_node_of_the_group_that_training_would_get() -> None:
    decided = settled(spec(), ZERO)
    demand = demand_of_group(decided.workers, 1)

    assert (demand.gpus, room_for(demand, ZERO)) == (1.0, 1)
    # Its node has room for a second worker.
    assert room_for(demand, ClusterView((HEAD, node_of(GPU_GROUP)), ZERO.groups)) == 2


def test_only_nodes_with_the_labels_count_as_room() -> None:
    pool = settled(spec(pool=ActorPool(node_labels={OWN_GROUP: "gpu"})), ZERO).pool
    nodes = (HEAD, node_of(CPU_GROUP), node_of(CPU_GROUP), node_of(GPU_GROUP))

    assert room_for(demand_of_pool(pool), ClusterView(nodes, ZERO.groups)) == 2


@pytest.mark.parametrize(
    ("workers", "nodes", "groups", "expected"),
    [
        # From zero: the node that the measurement got, and two that may follow it.
        (WorkerGroup(), (GPU_GROUP,), ZERO.groups, (6, 6.0, 1.0)),
        (WorkerGroup(), (GPU_GROUP, CPU_GROUP), ZERO.groups, (6, 6.0, 1.0)),
        (WorkerGroup(), (CPU_GROUP,), (CPU_GROUP,), (32, 1.0, 0.0)),
        # No autoscaler: what is there.
        (WorkerGroup(), (GPU_GROUP,), (), (2, 6.0, 1.0)),
        (WorkerGroup(gpus_per_worker=0.0), (CPU_GROUP,), (), (8, 1.0, 0.0)),
        # A group without a limit.
        (WorkerGroup(), (GPU_GROUP,), (NodeGroup("gpu", GPU_GROUP.resources, None),), (20_000, 6.0, 1.0)),
    ],
)
def test_the_bill_is_for_the_devices_that_the_run_could_have(
    workers: WorkerGroup,
    nodes: tuple[NodeGroup, ...],
    groups: tuple[NodeGroup, ...],
    expected: tuple[int, float, float],
) -> None:
    view = ClusterView((HEAD, *(node_of(group) for group in nodes)), groups)
    pool = ActorPool(gpus_per_actor=workers.gpus_per_worker)
    decided = settled(spec(workers, pool), view)
    seen = cluster_seen(view)

    devices, cpus, gpus = expected
    shape = ClusterShape(devices=devices, cpus_per_device=cpus, gpus_per_device=gpus)
    assert shape_of(seen, decided.workers, decided.pool) == shape
    assert seen.nodes == 1 + len(nodes)
