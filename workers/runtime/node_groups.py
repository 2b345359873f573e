"""Reads the nodes of the cluster that this process is connected to, and the groups of nodes that it could have.

The groups are in an undocumented part of Ray (ray._private.state), where an autoscaler of version 2 records them. If
that part is gone or switched off, no groups are visible.
"""

import ray

from workers.runtime.capacity import ClusterView, Node, NodeGroup
from workers.runtime.internals import library_internals, warn_of_missing

_UNLIMITED = -1


def look_at_cluster() -> ClusterView:
    """The live nodes and the groups of nodes. Call ray.init() first."""
    nodes = tuple(Node(node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"])
    return ClusterView(nodes, _node_groups())


def _node_groups() -> tuple[NodeGroup, ...]:
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
