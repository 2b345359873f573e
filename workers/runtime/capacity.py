"""What a cluster has and could have, and what a stage that cannot begin therefore waits for. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workers.specs.node_labels import NODE_GROUP, OWN_GROUP, allows, described
from workers.specs.reports import WaitKind
from workers.specs.stages import ActorPool, AnyStageSpec, WorkerGroup

_MOST_NAMED = 4
"""Groups of nodes in one message."""


@dataclass(frozen=True)
class ResourceDemand:
    """The least that a stage needs at once: equal parts, each on one node."""

    parts: int
    cpus: float
    gpus: float
    name: str
    node_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A node that is alive: all of its resources, taken or not."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeGroup:
    """Nodes that an autoscaler starts. `max_nodes` None: as many as are asked for."""

    name: str
    resources: Mapping[str, float]
    max_nodes: int | None


@dataclass(frozen=True)
class ClusterView:
    """`groups` is empty where no autoscaler says which there are."""

    nodes: tuple[Node, ...]
    groups: tuple[NodeGroup, ...] = ()

    def nodes_of(self, group: NodeGroup) -> list[Node]:
        """Those that the group has now."""
        return [node for node in self.nodes if node.labels.get(NODE_GROUP) == group.name]

    def labels_of(self, group: NodeGroup) -> dict[str, str]:
        """What is known of the labels of its nodes: by its name, and by what its nodes have in common now. Ray's own
        labels differ from node to node, as the zone does."""
        found = [
            {(label, value) for label, value in node.labels.items() if not label.startswith("ray.io/")}
            for node in self.nodes_of(group)
        ]
        common = dict(set.intersection(*found)) if found else {}
        return {OWN_GROUP: group.name, **common, NODE_GROUP: group.name}


@dataclass(frozen=True)
class Shortage:
    """Why a stage's processes cannot be placed, for people, and whether even the idle cluster has too little."""

    kind: WaitKind
    reason: str
    exceeds_cluster: bool


def demand_of(spec: AnyStageSpec) -> ResourceDemand | None:
    """None for a stage that asks for nothing."""
    match spec.stage:
        case "train":
            return _of_group(spec.workers, spec.workers.num_workers)
        case "measure":
            return _of_group(spec.workers, 1)  # it makes do with as many as there is room for
        case "search":
            return _of_group(spec.base.workers, spec.settings.workers_per_trial)
        case "ablate":
            return _of_group(spec.base.workers, 1)
        case "label" | "evaluate":
            return _of_pool(spec.pool)
        case "select":
            return _of_pool(spec.pool) if spec.settings.materialize is not None else None


def shortage(demand: ResourceDemand, view: ClusterView, begun: bool) -> Shortage | None:
    """What the demand waits for; None where it fits on the cluster and its work has begun or may be about to."""
    fits = parts_that_fit(demand, view.nodes)
    to_come = {group.name: _parts_to_come(demand, group, view) for group in view.groups}
    growing = [name for name, parts in to_come.items() if parts]
    if fits >= demand.parts:
        if begun:
            return None
        has_them = f"{_needs(demand)}; the cluster has them, others use them"
        if growing:
            return Shortage(WaitKind.NODE_COMING, f"{has_them}; a node of {_any_of(growing)} can come", False)
        return Shortage(WaitKind.CLUSTER_FULL, has_them, False)
    lacks = f"{_needs(demand)}; the cluster has {_what_there_is(view.nodes)}"
    if fits + sum(to_come.values()) >= demand.parts:
        return Shortage(WaitKind.NODE_COMING, f"{lacks}; a node of {_any_of(growing)} is to come", True)
    if not view.groups:
        return Shortage(WaitKind.CLUSTER_TOO_SMALL, lacks, True)
    return Shortage(WaitKind.BEYOND_GROUPS, f"{lacks}; no group could ever have it: {_limits(demand, view)}", True)


def parts_that_fit(demand: ResourceDemand, nodes: Iterable[Node]) -> int:
    """On these nodes, were they idle."""
    return sum(_parts_on(demand, node.resources) for node in nodes if allows(demand.node_labels, node.labels))


def _parts_to_come(demand: ResourceDemand, group: NodeGroup, view: ClusterView) -> float:
    """On nodes that the group may still start; infinite where it has no limit."""
    if not allows(demand.node_labels, view.labels_of(group), all_known=False):
        return 0
    on_a_node = _parts_on(demand, group.resources)
    if group.max_nodes is None:
        return math.inf if on_a_node else 0
    return on_a_node * max(0, group.max_nodes - len(view.nodes_of(group)))


def _parts_on(demand: ResourceDemand, resources: Mapping[str, float]) -> int:
    needs = {"CPU": demand.cpus, "GPU": demand.gpus}
    return int(min(resources.get(name, 0.0) / needed for name, needed in needs.items() if needed) + 1e-9)


def _limits(demand: ResourceDemand, view: ClusterView) -> str:
    """What the groups may have, first those that come nearest."""

    def nearness(group: NodeGroup) -> tuple[float, float]:
        alone = _parts_on(demand, group.resources) * (math.inf if group.max_nodes is None else group.max_nodes)
        return -alone, -group.resources.get("GPU" if demand.gpus else "CPU", 0.0)

    allowed = [group for group in view.groups if allows(demand.node_labels, view.labels_of(group), all_known=False)]
    if not allowed:
        return f"none of {_any_of([group.name for group in view.groups])} has such labels"
    ordered = sorted(allowed, key=nearness)
    named = "; ".join(_limit(group) for group in ordered[:_MOST_NAMED])
    return named + (f"; and {len(ordered) - _MOST_NAMED} more" if len(ordered) > _MOST_NAMED else "")


def _limit(group: NodeGroup) -> str:
    nodes = "nodes without a limit" if group.max_nodes is None else f"at most {_count(group.max_nodes, 'node')}"
    return f"{group.name} has {nodes} of {_amount(group.resources.get('CPU', 0), group.resources.get('GPU', 0))}"


def _of_group(group: WorkerGroup, workers: int) -> ResourceDemand:
    return ResourceDemand(workers, group.cpus_per_worker, group.gpus, "worker", group.node_labels or {})


def _of_pool(pool: ActorPool) -> ResourceDemand:
    # One actor is enough to get on, however many it asks for.
    return ResourceDemand(1, pool.cpus_per_actor, pool.gpus, "actor", pool.node_labels or {})


def _needs(demand: ResourceDemand) -> str:
    each = " each" if demand.parts > 1 else ""
    labels = f" on nodes with {described(demand.node_labels)}" if demand.node_labels else ""
    parts = _count(demand.parts, demand.name)
    return f"waiting for resources: needs {parts} of {_amount(demand.cpus, demand.gpus)}{each}{labels}"


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")


def _what_there_is(nodes: Iterable[Node]) -> str:
    there = list(nodes)
    cpus, gpus = (sum(node.resources.get(name, 0.0) for node in there) for name in ("CPU", "GPU"))
    return f"{cpus:g} CPU and {gpus:g} GPU on {_count(len(there), 'node')}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _any_of(names: list[str]) -> str:
    named = sorted(names)[:_MOST_NAMED]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"
