"""What a cluster has and could have, and what a stage that cannot begin waits for. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workers.specs.node_labels import NODE_GROUP, OWN_GROUP, allows, described
from workers.specs.reports import WaitKind
from workers.specs.stages import ActorPool, AnyStageSpec
from workers.specs.worker_group import WorkerGroup

_MOST_NAMED = 4
"""The maximum number of groups of nodes in a message."""


@dataclass(frozen=True)
class ResourceDemand:
    """The minimum that a stage needs at once, in equal parts that each fit on one node."""

    parts: int
    cpus: float
    gpus: float
    name: str
    node_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A live node with all of its resources, used or not."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeGroup:
    """A group of nodes that an autoscaler can start. `max_nodes` None: there is no limit. Not all labels are known."""

    name: str
    resources: Mapping[str, float]
    max_nodes: int | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterView:
    """The live nodes and the groups of nodes. `groups` is empty if they are unknown."""

    nodes: tuple[Node, ...]
    groups: tuple[NodeGroup, ...] = ()

    def nodes_of(self, group: NodeGroup) -> list[Node]:
        """The nodes that the group has now."""
        return [node for node in self.nodes if node.labels.get(NODE_GROUP) == group.name]

    def labels_of(self, group: NodeGroup) -> dict[str, str]:
        """The known labels of the group's nodes: its name, what is given, and what its nodes have in common now.

        Ray's own labels, such as the zone, may differ from node to node.
        """
        found = [
            {(label, value) for label, value in node.labels.items() if not label.startswith("ray.io/")}
            for node in self.nodes_of(group)
        ]
        common = dict(set.intersection(*found)) if found else {}
        return {OWN_GROUP: group.name, **group.labels, **common, NODE_GROUP: group.name}


@dataclass(frozen=True)
class Shortage:
    """Why a stage's processes cannot be placed, for people, and whether even the idle cluster is too small."""

    kind: WaitKind
    reason: str
    exceeds_cluster: bool


def demand_of(spec: AnyStageSpec) -> ResourceDemand | None:
    """The minimum that the stage needs at once; None for a stage that needs nothing."""
    match spec.stage:
        case "train":
            return demand_of_group(spec.workers, spec.workers.min_workers)
        case "measure":
            # It uses as many workers as there is room for.
            return demand_of_group(spec.workers, spec.workers.workers_a_model_needs)
        case "search":
            return demand_of_group(spec.base.workers, spec.settings.workers_per_trial)
        case "ablate":
            return demand_of_group(spec.base.workers, spec.base.workers.workers_a_model_needs)
        case "label" | "evaluate" | "predict":
            return demand_of_pool(spec.pool)
        case "select":
            return demand_of_pool(spec.pool) if spec.settings.materialize is not None else None
        case "verify":
            return None


def demand_of_group(group: WorkerGroup, workers: int) -> ResourceDemand:
    """What so many workers of the group need at once."""
    return ResourceDemand(workers, group.cpus_per_worker, group.gpus, "worker", group.node_labels or {})


def demand_of_pool(pool: ActorPool) -> ResourceDemand:
    """What the pool needs to make progress."""
    # One actor is enough to make progress, however many the pool asks for.
    return ResourceDemand(1, pool.cpus_per_actor, pool.gpus, "actor", pool.node_labels or {})


def shortage(demand: ResourceDemand, view: ClusterView, begun: bool) -> Shortage | None:
    """What the demand waits for; None if it fits on the cluster and its work has begun or may be about to."""
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
    """How many parts of the demand would fit on these nodes if they were idle."""
    return sum(_parts_on(demand, node.resources) for node in nodes if allows(demand.node_labels, node.labels))


def _parts_to_come(demand: ResourceDemand, group: NodeGroup, view: ClusterView) -> float:
    """How many parts would fit on nodes that the group may still start; infinite if it has no limit."""
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
    """The limits of the groups for people, the best fitting groups first."""

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
