"""Which pods KubeRay's operator creates and deletes, and how a group's nodes are started."""

from typing import Any

import pytest

from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Phase, Pod
from tests.rehearsal.kuberay_operator import CreatePod, DeletePod, next_steps
from tests.rehearsal.kubernetes_server import answer
from tests.rehearsal.ray_start import start_parameters

CONTAINER = {"name": "ray", "resources": {"limits": {"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "2"}}}
TEMPLATE = {"spec": {"containers": [CONTAINER]}}
HEAD = Pod("c-head", HEAD_GROUP, {}, 0.0, 1, "Running")


def ray_cluster(**group: Any) -> dict[str, Any]:
    worker = {"groupName": "g", "template": TEMPLATE, "maxReplicas": 3, **group}
    spec = {"headGroupSpec": {"template": TEMPLATE}, "workerGroupSpecs": [worker]}
    return {"metadata": {"name": "c", "namespace": "n"}, "spec": spec}


def steps(pods: list[Pod], **group: Any) -> list[object]:
    return list(next_steps(ClusterState(ray_cluster(**group)).ray_cluster(), pods))


def node(name: str, phase: Phase = "Running", is_terminating: bool = False) -> Pod:
    return Pod(name, "g", {}, 0.0, 1, phase, is_terminating=is_terminating)


def test_a_group_gets_as_many_pods_as_replicas_within_its_bounds() -> None:
    assert steps([HEAD], replicas=2) == [CreatePod("g")] * 2
    assert steps([HEAD], replicas=9) == [CreatePod("g")] * 3
    assert steps([HEAD, node("a")], replicas=0, minReplicas=2) == [CreatePod("g")]


def test_pods_beyond_the_replicas_stay_until_the_autoscaler_names_them() -> None:
    pods = [HEAD, node("a"), node("b")]

    assert steps(pods, replicas=1) == []
    chosen = {"workersToDelete": ["b", "gone"]}
    assert steps(pods, replicas=1, scaleStrategy=chosen) == [DeletePod("b", "the autoscaler chose it")]


def test_a_pod_that_has_ended_is_deleted_before_another_is_created() -> None:
    assert steps([HEAD, node("a", "Failed")], replicas=2) == [DeletePod("a", "it is Failed")]
    assert steps([HEAD, node("a", "Failed", is_terminating=True)], replicas=1) == [CreatePod("g")]


def test_a_lost_head_is_created_anew() -> None:
    assert steps([]) == [CreatePod(HEAD_GROUP)]


def test_a_node_gets_what_its_container_is_limited_to_and_its_groups_labels() -> None:
    group = {"template": TEMPLATE, "labels": {"a/b": "c", "d": "e"}}

    assert start_parameters(group) == {
        "num-cpus": "2",
        "memory": str(1 << 30),
        "num-gpus": "2",
        "labels": "a/b=c,d=e",
    }
    explicit = {**group, "rayStartParams": {"num-cpus": "0"}, "resources": {"GPU": "1", "tpu": "4"}}
    assert start_parameters(explicit) == {
        "num-cpus": "0",
        "memory": str(1 << 30),
        "num-gpus": "1",
        "resources": '{"tpu": 4.0}',
        "labels": "a/b=c,d=e",
    }


def test_a_patch_sets_replicas_and_the_pods_to_delete_and_an_upgrade_resets_only_the_replicas() -> None:
    state = ClusterState(ray_cluster())
    path = "/apis/ray.io/v1/namespaces/n/rayclusters/c"
    patch = [
        {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 2},
        {"op": "replace", "path": "/spec/workerGroupSpecs/0/scaleStrategy", "value": {"workersToDelete": ["a"]}},
    ]

    assert answer(state, "PATCH", path, "application/json-patch+json", patch)[0] == 200
    assert state.group("g")["replicas"] == 2
    state.apply(ray_cluster())
    assert state.group("g")["replicas"] == 0
    assert state.group("g")["scaleStrategy"] == {"workersToDelete": ["a"]}


@pytest.mark.parametrize("operation", ["remove", "test"])
def test_a_patch_that_does_not_apply_changes_nothing(operation: str) -> None:
    state = ClusterState(ray_cluster(replicas=1))
    patch = [
        {"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": 3},
        {"op": operation, "path": "/spec/workerGroupSpecs/0/replicas", "value": 7},
    ]

    code, _ = answer(state, "PATCH", "/apis/ray.io/v1/namespaces/n/rayclusters/c", "", patch)

    assert (code, state.group("g")["replicas"]) == (422, 1)


def test_pods_are_listed_by_label_and_a_deleted_one_says_so() -> None:
    state = ClusterState(ray_cluster())
    for group in (HEAD_GROUP, "g"):
        state.create_pod(group)
    [worker] = state.nodes()
    state.change_pod(worker.name, is_terminating=True)

    pods = "/api/v1/namespaces/n/pods"
    code, listed = answer(state, "GET", f"{pods}?labelSelector=ray.io%2Fcluster%3Dc&resourceVersion=1")

    assert code == 200
    assert {each["metadata"]["labels"]["ray.io/group"] for each in listed["items"]} == {HEAD_GROUP, "g"}
    assert ["deletionTimestamp" in each["metadata"] for each in listed["items"]] == [False, True]
    assert answer(state, "GET", f"{pods}?labelSelector=ray.io%2Fcluster%3Dother")[1]["items"] == []
    assert answer(state, "GET", f"{pods}/none")[0] == 404
