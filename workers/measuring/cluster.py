"""Waits for the nodes that a stage of the planned run would wait for, and describes the cluster with them."""

from collections.abc import Iterable, Sequence

from workers.runtime.capacity import ClusterView, Node, NodeGroup, ResourceDemand, parts_that_fit
from workers.runtime.stage_reporter import StageReporter
from workers.specs.measure import ClusterSeen
from workers.specs.node_labels import KnownGroup

_LOOK_EVERY_SECONDS = 1.0
_NODES_WITHOUT_LIMIT = 10_000
"""How many nodes a group counts for that has no limit."""


def wait_for_node(demand: ResourceDemand, reporter: StageReporter, groups: Sequence[KnownGroup] = ()) -> ClusterView:
    """Waits until the cluster can hold the demand, and returns what it has then. Call ray.init() first.

    It asks as the stage's own processes do, so an autoscaler starts the same nodes, from zero if there are none. They
    outlast their idle timeout, which is longer than the start of what is measured next. Raises Paused.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    from workers.runtime.node_groups import look_at_cluster

    asked = {name: amount for name, amount in (("CPU", demand.cpus), ("GPU", demand.gpus)) if amount}
    held = placement_group(
        [asked] * demand.parts, bundle_label_selector=[dict(demand.node_labels) for _ in range(demand.parts)]
    )
    try:
        while not held.wait(_LOOK_EVERY_SECONDS):
            reporter.pause_if_asked()
        return look_at_cluster(groups)
    finally:
        remove_placement_group(held)


def room_for(demand: ResourceDemand, view: ClusterView) -> int:
    """How many such parts fit on the present nodes; at least those of the demand: an autoscaler may make room."""
    return max(demand.parts, parts_that_fit(demand, view.nodes))


def cluster_seen(view: ClusterView) -> ClusterSeen:
    """The cluster's resources, those of its nodes with GPUs, and those with all nodes that its groups may start."""
    grown = [node.resources for node in view.nodes] + [
        group.resources for group in view.groups for _ in range(_nodes_to_come(group, view))
    ]
    return ClusterSeen(
        cpus=_total(view.nodes, "CPU"),
        gpus=_total(view.nodes, "GPU"),
        nodes=len(view.nodes),
        cpus_beside_gpus=_total((node for node in view.nodes if node.resources.get("GPU")), "CPU"),
        most_cpus=sum(each.get("CPU", 0.0) for each in grown) if view.groups else None,
        most_gpus=sum(each.get("GPU", 0.0) for each in grown) if view.groups else None,
    )


def _nodes_to_come(group: NodeGroup, view: ClusterView) -> int:
    most = _NODES_WITHOUT_LIMIT if group.max_nodes is None else group.max_nodes
    return max(0, most - len(view.nodes_of(group)))


def _total(nodes: Iterable[Node], resource: str) -> float:
    return sum(node.resources.get(resource, 0.0) for node in nodes)
