"""The parameters of `ray start` that KubeRay derives from a group of a RayCluster. Pure.

KubeRay 1.7, ray-operator/controllers/ray/common/pod.go: an explicit rayStartParams wins over `resources`, and those win
over the limits of the first container.
"""

import json
import math
from typing import Any

_FACTORS = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}
_OF_RESOURCES = {"CPU": "num-cpus", "GPU": "num-gpus", "memory": "memory"}


def quantity(text: object) -> float:
    """Kubernetes' notation of an amount: `500m` is 0.5, `1Gi` is 2**30."""
    written = str(text)
    for suffix, factor in _FACTORS.items():
        if written.endswith(suffix):
            return float(written.removesuffix(suffix)) * factor
    return float(written)


def start_parameters(group: dict[str, Any]) -> dict[str, str]:
    """The parameters for a head group or a worker group, without dashes."""
    container = group["template"]["spec"]["containers"][0]
    limits = container.get("resources", {}).get("limits", {})
    requests = container.get("resources", {}).get("requests", {})
    found = _from_resources(group.get("resources") or {})
    found |= {name: value for name, value in (group.get("rayStartParams") or {}).items() if name not in found}
    if (cpu := limits.get("cpu") or requests.get("cpu")) is not None:
        found.setdefault("num-cpus", str(math.ceil(quantity(cpu))))
    if "memory" in limits:
        found.setdefault("memory", str(int(quantity(limits["memory"]))))
    gpus = [amount for name, amount in limits.items() if name.endswith("gpu")]
    if gpus:
        found.setdefault("num-gpus", str(int(quantity(gpus[0]))))
    if labels := group.get("labels"):
        found["labels"] = ",".join(f"{name}={value}" for name, value in labels.items())
    return found


def _from_resources(resources: dict[str, Any]) -> dict[str, str]:
    found = {
        _OF_RESOURCES[name]: str(math.ceil(quantity(amount)))
        for name, amount in resources.items()
        if name in _OF_RESOURCES
    }
    if custom := {name: quantity(amount) for name, amount in resources.items() if name not in _OF_RESOURCES}:
        found["resources"] = json.dumps(custom)
    return found
