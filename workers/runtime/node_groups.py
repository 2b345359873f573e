"""Reads the nodes of the cluster that this process is connected to, and the groups of nodes that it could have.

The groups are those of the setting `placement.node_groups`. Without it, they are read from an undocumented part of Ray
(ray._private.state), where an autoscaler may record them. Ray's own for KubeRay (2.60) records none there.
"""

from collections.abc import Sequence

import ray

from workers.runtime.capacity import ClusterView, Node, NodeGroup
from workers.runtime.internals import library_internals, warn_of_missing
from workers.specs.node_labels import KnownGroup

_UNLIMITED = -1


def look_at_cluster(known: Sequence[KnownGroup] = ()) -> ClusterView:
    """The live nodes and the groups of nodes, `known` or recorded. Call ray.init() first."""
    nodes = tuple(Node(node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"])
    return ClusterView(nodes, tuple(map(_as_node_group, known)) or _recorded_groups())


def _as_node_group(known: KnownGroup) -> NodeGroup:
    resources = {"CPU": known.cpus, "GPU": known.gpus} if known.gpus else {"CPU": known.cpus}
    return NodeGroup(known.name, resources, known.max_nodes, known.labels)


def _recorded_groups() -> tuple[NodeGroup, ...]:
    """The groups that may have further nodes, which excludes the head's group, for example."""
    if not library_internals().ray_node_groups:
        return ()
    try:
        from ray._private.state import state

        config = state.get_cluster_config()
    except (ImportError, AttributeError) as error:
        warn_of_missing("Ray's configuration of the cluster", str(error))
        return ()
    groups = () if config is None else config.node_group_configs
    return tuple(
        NodeGroup(group.name, dict(group.resources), None if group.max_count == _UNLIMITED else group.max_count)
        for group in groups
        if group.max_count
    )
