"""What KubeRay's operator does for a RayCluster with in-tree autoscaling: which pods it creates and deletes. Pure.

KubeRay 1.7, ray-operator/controllers/ray/raycluster_controller.go, reconcilePods, for groups of single-host nodes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.deploy.manifests import Manifest
from tests.rehearsal.cluster_state import HEAD_GROUP, Pod


@dataclass(frozen=True)
class CreatePod:
    group: str


@dataclass(frozen=True)
class DeletePod:
    name: str
    why: str


Step = CreatePod | DeletePod


def next_steps(ray_cluster: Manifest, pods: Sequence[Pod]) -> list[Step]:
    """What the operator does now. It creates no pod of a group while one that has ended is not yet deleted."""
    spec = ray_cluster["spec"]
    steps = list(_of_group(HEAD_GROUP, 1, (), _of(HEAD_GROUP, pods)))
    for group in spec["workerGroupSpecs"]:
        wanted = max(group["minReplicas"], min(group["replicas"], group["maxReplicas"])) * group["numOfHosts"]
        doomed = (group.get("scaleStrategy") or {}).get("workersToDelete") or ()
        steps += _of_group(group["groupName"], wanted, doomed, _of(group["groupName"], pods))
    return steps


def _of(group: str, pods: Iterable[Pod]) -> list[Pod]:
    """The group's pods that have not been deleted; one that is terminating no longer counts."""
    return [pod for pod in pods if pod.group == group and not pod.is_terminating]


def _of_group(group: str, wanted: int, doomed: Sequence[str], pods: Sequence[Pod]) -> Iterator[Step]:
    if ended := [pod for pod in pods if pod.has_ended]:
        yield from (DeletePod(pod.name, f"it is {pod.phase}") for pod in ended)
        return
    removed = [pod for pod in pods if pod.name in doomed]
    yield from (DeletePod(pod.name, "the autoscaler chose it") for pod in removed)
    # Fewer wanted than there are: with in-tree autoscaling only the autoscaler says which ones go.
    yield from [CreatePod(group)] * max(0, wanted - (len(pods) - len(removed)))
