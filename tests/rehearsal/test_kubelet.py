"""What the kubelet of a rehearsal does with the processes of its pods, here with a shell in the place of Ray."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from noisy_student.local.process_family import descendants, is_alive
from tests.at_once import wait_until
from tests.rehearsal import kubelet as kubelet_module
from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Pod
from tests.rehearsal.containers import Container
from tests.rehearsal.kubelet import Kubelet
from tests.rehearsal.test_kuberay_operator import ray_cluster

_RAY = "trap 'exit 0' TERM; sleep 300 & wait"
_STUBBORN = "trap '' TERM; while true; do sleep 1; done"
_AUTOSCALER = "trap 'kill $!; exit' TERM; while true; do bash -c 'exec -a kuberay-autoscaler sleep 299' & wait $!; done"


def shells(state: ClusterState, pod: Pod, folder: Path, kubernetes: Mapping[str, str]) -> list[Container]:
    """A shell for each container. The group `g` does not end on SIGTERM."""
    if pod.group != HEAD_GROUP:
        return [Container("ray", ["/bin/bash", "-c", _STUBBORN], {})]
    return [Container(name, ["/bin/bash", "-c", each], {}) for name, each in (("ray", _RAY), ("as", _AUTOSCALER))]


@pytest.fixture
def state() -> ClusterState:
    given = ray_cluster()
    given["spec"]["workerGroupSpecs"][0]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    return ClusterState(given)


@pytest.fixture
def kubelet(state: ClusterState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubelet]:
    monkeypatch.setattr(kubelet_module, "containers_of", shells)
    monkeypatch.setattr(kubelet_module, "_listens", lambda address: True)
    started = Kubelet(state, tmp_path, {}, {}, start_seconds=0)
    yield started
    started.close()


def started(kubelet: Kubelet, state: ClusterState, group: str) -> Pod:
    """A running pod of the group."""
    state.create_pod(group)
    kubelet.step()
    (pod,) = state.pods(group)
    assert pod.phase == "Running"
    return pod


def stepped_until_gone(kubelet: Kubelet, state: ClusterState) -> bool:
    kubelet.step()
    return not state.pods()


def test_a_group_that_is_withheld_stays_pending(kubelet: Kubelet, state: ClusterState) -> None:
    kubelet.withheld.add("g")
    state.create_pod("g")
    kubelet.step()
    assert [pod.phase for pod in state.pods()] == ["Pending"]

    kubelet.withheld.clear()
    kubelet.step()
    assert [pod.phase for pod in state.pods()] == ["Running"]


def test_a_deleted_pod_gets_its_grace_period_and_is_then_killed(kubelet: Kubelet, state: ClusterState) -> None:
    pod = started(kubelet, state, "g")
    began = time.monotonic()

    kubelet.delete(pod.name, "cloud", "its machine is taken back")

    wait_until(lambda: stepped_until_gone(kubelet, state), "the end of the pod")
    assert time.monotonic() - began >= 1
    assert living() == []


def test_a_killed_pod_has_failed_and_leaves_no_process(kubelet: Kubelet, state: ClusterState) -> None:
    pod = started(kubelet, state, "g")

    kubelet.kill(pod.name)

    assert living() == []
    kubelet.step()
    assert [(each.phase, each.exit_code) for each in state.pods()] == [("Failed", -9)]


def test_an_autoscaler_that_is_killed_is_started_again_by_its_shell(kubelet: Kubelet, state: ClusterState) -> None:
    started(kubelet, state, HEAD_GROUP)
    wait_until(kubelet.has_autoscaler, "the autoscaler")
    [first] = autoscalers()

    kubelet.kill_autoscaler()

    assert not is_alive(first)
    wait_until(kubelet.has_autoscaler, "the autoscaler's return")
    assert [each.pid for each in autoscalers()] != [first.pid]


def living() -> list[psutil.Process]:
    return [each for each in descendants(psutil.Process().pid) if is_alive(each) and _STUBBORN in each.cmdline()]


def autoscalers() -> list[psutil.Process]:
    return [
        each
        for each in descendants(psutil.Process().pid)
        if is_alive(each) and each.cmdline()[:1] == ["kuberay-autoscaler"]
    ]
