"""Looks at the cluster that this process is connected to: its nodes, and the groups of nodes that it could have.

The groups are in a part of Ray that is not documented (ray._private.state): an autoscaler of version 2 writes them
down there. Where it is gone or switched off, there are none to be seen.
"""

import ray

from workers.runtime.capacity import ClusterView, Node, NodeGroup
from workers.runtime.internals import library_internals, warn_of_missing

_UNLIMITED = -1


def look_at_cluster() -> ClusterView:
    """ray.init() has been called."""
    nodes = tuple(Node(node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"])
    return ClusterView(nodes, _node_groups())


def _node_groups() -> tuple[NodeGroup, ...]:
    """Those that may have a node: the head's, for one, may not."""
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
