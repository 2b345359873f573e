"""A cluster that grows and shrinks, on one machine: the chart's RayCluster with Ray's own head, autoscaler and nodes.

Kubernetes' API, KubeRay's operator and the kubelets are played (kubernetes_server.py, kuberay_operator.py, kubelet.py).
Each node is a real `ray start` process. Everything is on loopback in a network namespace of its own, and ends with the
process that began it, even if that is killed. Not played: the scheduler, the network plugin, RBAC, admission, image
pulls, groups of several hosts.
"""

import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.support.started_parts import StartedParts
from noisy_student.client import Client
from noisy_student.local.owned_folder import OwnedFolder
from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Journal
from tests.rehearsal.containers import DASHBOARD_URL
from tests.rehearsal.control_plane import API_METRICS, RECONCILER_METRICS, ControlPlane
from tests.rehearsal.kubelet import Kubelet
from tests.rehearsal.kuberay_operator import CreatePod, DeletePod, next_steps
from tests.rehearsal.kubernetes_server import KubernetesServer
from tests.rehearsal.release import merged, render_release, small_values
from tests.support.network_namespace import network_of_its_own

_STEP_SECONDS = 0.3
_HEAD_TIMEOUT_SECONDS = 300.0
PATIENCE_SECONDS = 600.0
"""Longer than anything here takes, even on a busy machine."""


class Rehearsal(StartedParts):
    """A context manager that begins with a head and no nodes.

    `changes` are values of the chart, merged into `small_values`. An idle node goes after `idle_seconds`. A pod is
    pending for `pod_start_seconds`, and if it still is after `pod_wait_seconds`, the autoscaler tries another group.
    `environment` reaches the head, the nodes and the autoscaler.
    """

    def __init__(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        idle_seconds: int = 12,
        pod_start_seconds: float = 1.0,
        pod_wait_seconds: int = 600,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._owned = OwnedFolder("k-")
        self.shared = self._owned.path / "shared"
        """The volume that all pods share: datasets and artifacts."""
        self.values = merged(small_values(self.shared), changes or {})
        self._hurry = idle_seconds, pod_wait_seconds
        self.release = render_release(self.values, *self._hurry)
        self.state = ClusterState(self.release.ray_cluster)
        self._pod_start_seconds = pod_start_seconds
        self._token = secrets.token_hex(32)
        self._environment = {**self._of_all_pods(), **(environment or {})}
        self._stopping = threading.Event()
        self._controllers = threading.Thread(target=self._control, daemon=True, name="controllers")

    @property
    def artifacts(self) -> Path:
        """Where runs keep their files."""
        return self.shared / "artifacts"

    @property
    def datasets(self) -> Path:
        """Where datasets may lie."""
        return self.shared / "datasets"

    @property
    def client(self) -> Client:
        return self.control_plane.client

    @property
    def journal(self) -> Journal:
        return self.state.journal

    @property
    def scrape_targets(self) -> dict[str, list[str]]:
        """The addresses that Prometheus would scrape, by job. Ray's nodes are those that run now."""
        of_ray = [target for group in self._ray_targets() for target in group["targets"]]
        return {"api": [API_METRICS], "reconciler": [RECONCILER_METRICS], "ray": of_ray}

    def upgrade(self, changes: Mapping[str, Any] | None = None) -> None:
        """Plays `helm upgrade`: applies the chart anew, with changed values or the same."""
        self.values = merged(self.values, changes or {})
        self.journal.note("helm", "upgrades the release, which resets the replicas")
        self.state.apply(render_release(self.values, *self._hurry).ray_cluster)

    def wait_for(self, condition: Callable[[], object], what: str, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Polls until the condition holds. Raises AssertionError with the journal if it never does."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_seconds:.0f} s for {what}\n{self.journal.text()}"
            time.sleep(0.2)

    def wait_for_zero(self) -> float:
        """Returns when no node is left, with the seconds that the wait took."""
        began = time.monotonic()
        self.wait_for(lambda: not self.state.nodes(), "the end of all nodes")
        return time.monotonic() - began

    def ray(self, path: str) -> Any:
        """The response of Ray's dashboard to a GET request."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.get(f"{DASHBOARD_URL}{path}", headers=headers, timeout=30, trust_env=False).json()

    def _start(self) -> None:
        self._open.enter_context(network_of_its_own())
        self._owned.make()
        self._open.callback(self._owned.close)
        self.datasets.mkdir(parents=True)
        kubernetes = self._open.enter_context(KubernetesServer(self.state, self._owned.path))
        self.kubelet = Kubelet(
            self.state, self._owned.path, self._environment, kubernetes.environment, self._pod_start_seconds
        )
        self._open.callback(self.kubelet.close)
        self._controllers.start()
        self._open.callback(self._controllers.join, 60)
        self._open.callback(self._stopping.set)
        self.control_plane = self._open.enter_context(
            ControlPlane(self.release, self._owned.path / "service", self._token, self._owned.environment)
        )
        self.wait_for(self.has_head, "the head", _HEAD_TIMEOUT_SECONDS)

    def has_head(self) -> bool:
        """Whether the head answers and its pod runs."""
        try:
            self.ray("/api/version")
        except (httpx.TransportError, ValueError):
            return False
        return any(pod.phase == "Running" and not pod.is_terminating for pod in self.state.pods(HEAD_GROUP))

    def _control(self) -> None:
        """KubeRay's operator and the kubelets, step by step."""
        while not self._stopping.wait(_STEP_SECONDS):
            try:
                for step in next_steps(self.state.ray_cluster(), self.state.pods()):
                    match step:
                        case CreatePod(group):
                            self.state.create_pod(group)
                        case DeletePod(name, why):
                            self.kubelet.delete(name, "operator", why)
                self.kubelet.step()
            except Exception as error:
                self.journal.note("operator", f"fails: {error!r}")

    def _of_all_pods(self) -> dict[str, str]:
        binaries = Path(sys.executable).parent
        return {
            **self._owned.environment,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            # authOptions of the RayCluster, as KubeRay hands them to each container.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self._token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "GLOO_SOCKET_IFNAME": "lo",
            # Five seconds by default.
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }

    def _ray_targets(self) -> list[dict[str, Any]]:
        [head] = self.state.pods(HEAD_GROUP)
        path = self.kubelet.folder_of(head.name) / "prom_metrics_service_discovery.json"
        return list(json.loads(path.read_text()))
