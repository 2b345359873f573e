"""Decides what a spec leaves to the cluster: whether processes have GPUs, and which nodes they may run on. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from workers.runtime.capacity import ClusterView
from workers.specs.node_labels import NodeChoice, allows
from workers.specs.stage_spec import StageSpec
from workers.specs.stages import (
    AblateSpec,
    ActorPool,
    EvaluateSpec,
    LabelSpec,
    MeasureSpec,
    PredictSpec,
    SearchSpec,
    SelectSpec,
    TrainSpec,
)
from workers.specs.worker_group import WorkerGroup

Spec = TypeVar("Spec", bound=StageSpec)


def settled(spec: Spec, view: ClusterView) -> Spec:
    """The spec with everything decided that it left to the cluster, once for all processes of the attempt."""
    nodes = _nodes_there_are(spec.nodes, view)
    decided: dict[str, object] = {"nodes": nodes}
    match spec:
        case TrainSpec():
            decided["workers"] = _group(spec.workers, nodes, view)
        case LabelSpec() | EvaluateSpec() | SelectSpec() | PredictSpec():
            decided["pool"] = _pool(spec.pool, nodes, view)
        case SearchSpec():
            decided["base"] = settled(spec.base, view)
        case AblateSpec():
            decided |= {"base": settled(spec.base, view), "selection": settled(spec.selection, view)}
        case MeasureSpec():
            decided |= {"workers": _group(spec.workers, nodes, view), "pool": _pool(spec.pool, nodes, view)}
    return spec.model_copy(update=decided)


def _nodes_there_are(nodes: NodeChoice, view: ClusterView) -> NodeChoice:
    """The choice without selectors that no possible node satisfies, as on a laptop, whose node has no labels."""
    helpers_fit = any(allows(nodes.helper_node_labels, node.labels) for node in view.nodes)
    return NodeChoice(
        cpu_node_labels=nodes.cpu_node_labels if _has(view, nodes.cpu_node_labels, gpus=False) else {},
        helper_node_labels=nodes.helper_node_labels if helpers_fit else {},
        groups=nodes.groups,
    )


def _group(group: WorkerGroup, nodes: NodeChoice, view: ClusterView) -> WorkerGroup:
    gpus = group.gpus_on(_has(view, group.node_labels or {}, gpus=True))
    return group.model_copy(update={"gpus_per_worker": gpus, "node_labels": _labels(group.node_labels, gpus, nodes)})


def _pool(pool: ActorPool, nodes: NodeChoice, view: ClusterView) -> ActorPool:
    gpus = pool.gpus_on(_has(view, pool.node_labels or {}, gpus=True))
    return pool.model_copy(update={"gpus_per_actor": gpus, "node_labels": _labels(pool.node_labels, gpus, nodes)})


def _labels(own: Mapping[str, str] | None, gpus: float, nodes: NodeChoice) -> Mapping[str, str]:
    if own is not None:
        return own
    return {} if gpus else nodes.cpu_node_labels


def _has(view: ClusterView, node_labels: Mapping[str, str], gpus: bool) -> bool:
    """Whether the cluster has, or could have, a node with such labels that has GPUs, or CPUs and no GPUs."""
    resources = [node.resources for node in view.nodes if allows(node_labels, node.labels)]
    resources += [
        group.resources for group in view.groups if allows(node_labels, view.labels_of(group), all_known=False)
    ]
    if gpus:
        return any(each.get("GPU", 0.0) >= 1 for each in resources)
    return any(each.get("CPU", 0.0) > 0 and not each.get("GPU") for each in resources)
