"""What the chart renders for a rehearsal: its RayCluster, and the settings of the API and the reconciler."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.manifests import Manifest, render

SMALL_GROUPS: Mapping[str, Any] = {
    "cpu": {"cpu": "1", "memory": "2Gi", "maxReplicas": 2},
    "gpu-label": {"cpu": "1", "memory": "2Gi", "maxReplicas": 2},
    "gpu-train": {"cpu": "1", "memory": "2Gi", "maxReplicas": 2},
}
"""The chart's groups at a size of which several fit on a laptop, because here each node is only a process."""


@dataclass(frozen=True)
class Release:
    """The parts of a rendered release that a rehearsal plays. Settings are environment variables."""

    ray_cluster: Manifest
    api_settings: Mapping[str, str]
    reconciler_settings: Mapping[str, str]


def small_values(shared: Path) -> dict[str, Any]:
    """Values of the chart: small groups, and one folder for datasets and artifacts."""
    return {
        "artifactRoot": str(shared / "artifacts"),
        "database": {"existingSecret": "database"},
        "sharedVolumes": [{"name": "shared", "mountPath": str(shared), "source": {"hostPath": {"path": str(shared)}}}],
        "settings": {"datasets": {"roots": [str(shared / "datasets")]}},
        "ray": {"head": {"cpu": "1", "memory": "4Gi"}, "groups": dict(SMALL_GROUPS)},
    }


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values with some changed, map by map, as Helm merges several files of values."""
    result = dict(values)
    for name, value in changes.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def render_release(values: Mapping[str, Any], idle_seconds: int, wait_seconds: int, name: str = "ours") -> Release:
    """Renders the chart with the values. Fails with Helm's message if the chart rejects them.

    Two values are replaced afterwards, because the chart allows no such short ones and nobody would wait for longer:
    after how long an idle node goes, and how long the pods of a group may be pending before another group is tried.
    """
    manifests = render("--namespace", "rehearsal", release=name, values=values)
    (ray_cluster,) = (each for each in manifests if each["kind"] == "RayCluster")
    deployments = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "Deployment"}
    (api,) = (each for name, each in deployments.items() if name.endswith("-api"))
    (reconciler,) = (each for name, each in deployments.items() if name.endswith("-reconciler"))
    return Release(_hurried(ray_cluster, idle_seconds, wait_seconds), _settings(api), _settings(reconciler))


def _hurried(ray_cluster: Manifest, idle_seconds: int, wait_seconds: int) -> Manifest:
    options = ray_cluster["spec"]["autoscalerOptions"]
    options["idleTimeoutSeconds"] = idle_seconds
    for variable in options["env"]:
        if variable["name"] == "RAY_AUTOSCALER_RECONCILE_ALLOCATE_STATUS_TIMEOUT_S":
            variable["value"] = str(wait_seconds)
    for group in ray_cluster["spec"]["workerGroupSpecs"]:
        group.pop("idleTimeoutSeconds", None)
    return ray_cluster


def _settings(deployment: Manifest) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
