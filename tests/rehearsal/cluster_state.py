"""What Kubernetes stores of one RayCluster: the resource itself and its pods. Safe to use from several threads."""

import copy
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tests.deploy.manifests import Manifest

HEAD_GROUP = "headgroup"
Phase = Literal["Pending", "Running", "Failed", "Succeeded"]
_DEFAULTS = {"replicas": 0, "minReplicas": 0, "maxReplicas": 2147483647, "numOfHosts": 1}
"""What KubeRay's definition fills in for a group."""


@dataclass(frozen=True)
class Pod:
    """One pod of the cluster: the head, or a node of a group."""

    name: str
    group: str
    spec: Manifest
    created_at: float
    """Seconds on the monotonic clock."""
    version: int
    phase: Phase = "Pending"
    exit_code: int | None = None
    is_terminating: bool = False
    """Whether it has been deleted and its processes may still be ending."""

    @property
    def has_ended(self) -> bool:
        return self.phase in ("Failed", "Succeeded")


@dataclass(frozen=True)
class Entry:
    """One line of the journal. `seconds` count from the beginning of the rehearsal."""

    seconds: float
    who: str
    what: str
    group: str = ""
    pod: str = ""


@dataclass
class Journal:
    """What happened, in order."""

    began_at: float = field(default_factory=time.monotonic)
    entries: list[Entry] = field(default_factory=list)

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began_at

    def note(self, who: str, what: str, group: str = "", pod: str = "") -> None:
        """Adds a line."""
        self.entries.append(Entry(self.now(), who, what, group, pod))

    def created(self, group: str) -> list[Entry]:
        """The entries of the group's pods that were created."""
        return [each for each in list(self.entries) if each.what == "creates" and each.group == group]

    def text(self) -> str:
        """All lines for people."""
        return "\n".join(
            f"[{each.seconds:7.1f}] {each.who} {each.what} {each.pod}".rstrip() for each in list(self.entries)
        )


class ClusterState:
    """One RayCluster with its pods, and the journal of what becomes of them."""

    def __init__(self, ray_cluster: Manifest) -> None:
        self.journal = Journal()
        self.name: str = ray_cluster["metadata"]["name"]
        self.namespace: str = ray_cluster["metadata"]["namespace"]
        self._lock = threading.RLock()
        self._version = 1
        self._pods: dict[str, Pod] = {}
        self._ray_cluster = _completed(ray_cluster)
        self._stamp()

    @property
    def version(self) -> str:
        return str(self._version)

    def ray_cluster(self) -> Manifest:
        """A copy of the resource."""
        with self._lock:
            return copy.deepcopy(self._ray_cluster)

    def group(self, name: str) -> Manifest:
        """A copy of the specification of the head's group or of a group of workers."""
        spec = self.ray_cluster()["spec"]
        if name == HEAD_GROUP:
            return dict(spec["headGroupSpec"])
        (found,) = (each for each in spec["workerGroupSpecs"] if each["groupName"] == name)
        return dict(found)

    def pods(self, group: str | None = None) -> list[Pod]:
        """All pods, or those of one group, oldest first."""
        with self._lock:
            return [pod for pod in self._pods.values() if group in (None, pod.group)]

    def nodes(self) -> list[Pod]:
        """The pods that are not the head, whether they run, come or end."""
        return [pod for pod in self.pods() if pod.group != HEAD_GROUP]

    def create_pod(self, group: str) -> None:
        """Adds a pending pod to the group."""
        ending = "" if group == HEAD_GROUP else f"-{group}-worker-{secrets.token_hex(3)}"
        name = f"{self.name}-head" if group == HEAD_GROUP else f"{self.name}{ending}"
        spec = self.group(group)["template"]["spec"]
        with self._lock:
            self._stamp()
            self._pods[name] = Pod(name, group, spec, time.monotonic(), self._version)
        self.journal.note("operator", "creates", group, name)

    def change_pod(self, name: str, **fields: Any) -> None:
        """Changes fields of a pod, if it still exists."""
        with self._lock:
            if name in self._pods:
                self._stamp()
                self._pods[name] = replace(self._pods[name], version=self._version, **fields)

    def remove_pod(self, name: str) -> None:
        """Forgets a pod whose processes have ended."""
        with self._lock:
            self._stamp()
            self._pods.pop(name, None)

    def apply(self, rendered: Manifest) -> None:
        """Replaces the specification as `helm upgrade` does: the replicas that the autoscaler asked for are lost."""
        with self._lock:
            deletions = {
                each["groupName"]: each["scaleStrategy"]
                for each in self._ray_cluster["spec"]["workerGroupSpecs"]
                if "scaleStrategy" in each
            }
            new = _completed(rendered)
            for group in new["spec"]["workerGroupSpecs"]:
                if group["groupName"] in deletions:
                    group["scaleStrategy"] = deletions[group["groupName"]]
            self._ray_cluster["spec"] = new["spec"]
            self._stamp()

    def merge(self, change: Mapping[str, Any]) -> Manifest:
        """Applies a merge patch to the specification."""
        with self._lock:
            self._ray_cluster["spec"].update(change.get("spec", {}))
            self._stamp()
            return self.ray_cluster()

    def patch(self, operations: Sequence[Mapping[str, Any]]) -> Manifest:
        """Applies a JSON patch as Kubernetes does. Raises ValueError if an operation does not apply."""
        with self._lock:
            changed = self.ray_cluster()
            for operation in operations:
                _apply_operation(changed, operation)
            self._ray_cluster = changed
            self._stamp()
            self.journal.note("autoscaler", f"patches {[(each['path'], each.get('value')) for each in operations]}")
            return self.ray_cluster()

    def _stamp(self) -> None:
        self._version += 1
        self._ray_cluster["metadata"]["resourceVersion"] = str(self._version)


def _completed(ray_cluster: Manifest) -> Manifest:
    """The resource with the defaults of KubeRay's definition."""
    completed = copy.deepcopy(ray_cluster)
    completed["metadata"].setdefault("uid", secrets.token_hex(8))
    for group in completed["spec"].setdefault("workerGroupSpecs", []):
        for name, value in _DEFAULTS.items():
            group.setdefault(name, value)
    return completed


def _apply_operation(document: Any, operation: Mapping[str, Any]) -> None:
    """RFC 6902, as far as the autoscaler uses it. As in Kubernetes, `replace` sets a field that is not there yet."""
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    place = document
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    match operation["op"], place:
        case "test", dict():
            if place.get(last) != operation["value"]:
                raise ValueError(f"the test of {operation['path']} failed")
        case (("add" | "replace"), dict()):
            place[last] = operation["value"]
        case "add", list():
            place.insert(len(place) if last == "-" else int(last), operation["value"])
        case "replace", list():
            place[int(last)] = operation["value"]
        case _:
            raise ValueError(f"{operation['op']} of {operation['path']} is not supported")
