"""The containers of a RayCluster's pods as commands for this machine. Pure, but for the choice of free ports."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noisy_student.local.ray_head import free_ports
from tests.deploy.manifests import Manifest
from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Pod
from tests.rehearsal.ray_start import start_parameters

GCS_ADDRESS = "127.0.0.1:6379"
DASHBOARD_URL = "http://127.0.0.1:8265"
AUTOSCALER = "autoscaler"
_RAY = str(Path(sys.executable).with_name("ray"))
_HEAD_PORTS = {"port": "6379", "dashboard-port": "8265", "metrics-export-port": "8080"}
"""The ports of the chart, which are free because the rehearsal has a network of its own."""
_OWN_PORTS = (
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "node-manager-port",
    "object-manager-port",
)
"""Here all pods have one address."""
_OBJECT_STORE_BYTES = 100 << 20


@dataclass(frozen=True)
class Container:
    """A process of a pod: its command, and its environment in addition to that of all pods."""

    name: str
    command: list[str]
    environment: Mapping[str, str]


def containers_of(state: ClusterState, pod: Pod, folder: Path, kubernetes: Mapping[str, str]) -> list[Container]:
    """The pod's containers, Ray's first. `folder` is the pod's own; `kubernetes` leads the autoscaler to the API."""
    group = state.group(pod.group)
    container = pod.spec["containers"][0]
    parameters = {**start_parameters(group), **_on_this_machine(folder)}
    environment = {**_given(container), **_of_kuberay(state, pod), "HOME": str(folder), "TMPDIR": str(folder)}
    ray_start = [_RAY, "start", "--block", "--disable-usage-stats"]
    if pod.group != HEAD_GROUP:
        [metrics_port] = free_ports(1)
        parameters |= {"address": GCS_ADDRESS, "metrics-export-port": str(metrics_port)}
        return [Container(container["name"], [*ray_start, *_options(parameters)], environment)]
    parameters |= {**_HEAD_PORTS, "dashboard-host": "127.0.0.1"}
    head = Container(container["name"], [*ray_start, "--head", "--no-monitor", *_options(parameters)], environment)
    return [head, _autoscaler(state, pod, {**environment, **kubernetes})]


def _autoscaler(state: ClusterState, pod: Pod, environment: Mapping[str, str]) -> Container:
    """KubeRay's sidecar, which runs the chart's own arguments."""
    options = state.ray_cluster()["spec"]["autoscalerOptions"]
    given = f"{_RAY} kuberay-autoscaler --cluster-name {state.name} --cluster-namespace {state.namespace}"
    command = f"{given} --gcs-address {GCS_ADDRESS}"
    return Container(
        AUTOSCALER,
        ["/bin/bash", "-c", "--", *(options.get("args") or [command])],
        {
            **environment,
            **{each["name"]: each["value"] for each in options.get("env", []) if "value" in each},
            "RAY_HEAD_POD_NAME": pod.name,
            "KUBERAY_CRD_VER": "v1",
            "KUBERAY_GEN_AUTOSCALER_START_CMD": command,
        },
    )


def _on_this_machine(folder: Path) -> dict[str, str]:
    """What differs from a pod: one address and one disk for all."""
    ports = dict(zip(_OWN_PORTS, map(str, free_ports(len(_OWN_PORTS))), strict=True))
    return {
        **ports,
        "node-ip-address": "127.0.0.1",
        "object-store-memory": str(_OBJECT_STORE_BYTES),
        "temp-dir": str(folder),
        "include-log-monitor": "false",
    }


def _of_kuberay(state: ClusterState, pod: Pod) -> dict[str, str]:
    """What KubeRay adds to each Ray container (common/pod.go, setContainerEnvVars)."""
    of_head = {"RAY_enable_autoscaler_v2": "true"} if pod.group == HEAD_GROUP else {"RAY_ADDRESS": GCS_ADDRESS}
    return {
        **of_head,
        "RAY_CLUSTER_NAME": state.name,
        "RAY_CLUSTER_NAMESPACE": state.namespace,
        "RAY_CLOUD_INSTANCE_ID": pod.name,
        "RAY_NODE_TYPE_NAME": pod.group,
        "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
    }


def _given(container: Manifest) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


def _options(parameters: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in parameters.items()]
