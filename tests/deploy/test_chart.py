"""What the chart renders from its values."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.deploy.manifests import GIVEN, Manifest, refusal, render
from tests.deploy.places import CHART, EXAMPLES
from tests.deploy.tools import helm, run


def _one(manifests: list[Manifest], kind: str, ending: str = "") -> Manifest:
    (found,) = (each for each in manifests if each["kind"] == kind and each["metadata"]["name"].endswith(ending))
    return found


def _pod_specs(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    """The pods of all kinds of workloads, by the name of their container."""
    cluster = _one(manifests, "RayCluster")["spec"]
    templates = [
        *(each["spec"]["template"] for each in manifests if each["kind"] == "Deployment"),
        *(each["template"] for each in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])),
    ]
    return {f"{each['spec']['containers'][0]['name']} {number}": each["spec"] for number, each in enumerate(templates)}


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render(values=GIVEN)


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("database", "database.existingSecret is missing. The service keeps its state in a PostgreSQL that you run"),
        ("artifactRoot", "artifactRoot is missing: s3://BUCKET/PATH or gs://BUCKET/PATH"),
    ],
)
def test_what_must_be_given_is_asked_for_in_words(left_out: str, said: str) -> None:
    assert said in refusal(values={name: value for name, value in GIVEN.items() if name != left_out})


def test_two_of_api_and_of_reconciler_survive_a_drained_node(manifests: list[Manifest]) -> None:
    for part in ("-api", "-reconciler"):
        deployment, budget = _one(manifests, "Deployment", part), _one(manifests, "PodDisruptionBudget", part)
        assert deployment["spec"]["replicas"] == 2
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"] == deployment["spec"]["selector"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_apis_probes_need_no_key(manifests: list[Manifest]) -> None:
    (container,) = _one(manifests, "Deployment", "-api")["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_every_pod_runs_without_root_and_without_a_writable_image(manifests: list[Manifest]) -> None:
    pods = _pod_specs(manifests)
    assert len(pods) == 6
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name
    sidecar = _one(manifests, "RayCluster")["spec"]["autoscalerOptions"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    assert sidecar["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_only_the_head_has_a_token_of_kubernetes_for_the_autoscaler(manifests: list[Manifest]) -> None:
    mounted = {name: pod["automountServiceAccountToken"] for name, pod in _pod_specs(manifests).items()}
    assert [name for name, each in mounted.items() if each] == ["ray-head 2"]
    accounts = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "ServiceAccount"}
    assert {pod["serviceAccountName"] for pod in _pod_specs(manifests).values()} == set(accounts)
    assert not any(each["automountServiceAccountToken"] for each in accounts.values())


def test_a_clouds_identity_is_an_annotation_of_each_account() -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
    accounts = {f"serviceAccounts.{part}.annotations": role for part in ("controlPlane", "rayHead", "rayNode")}
    found = [each for each in render(values={**GIVEN, **accounts}) if each["kind"] == "ServiceAccount"]
    assert [each["metadata"]["annotations"] for each in found] == [role] * 3


def test_rays_api_is_for_api_and_reconciler_and_its_metrics_for_prometheus(manifests: list[Manifest]) -> None:
    policy = _one(manifests, "NetworkPolicy", "-ray")["spec"]
    cluster = {"podSelector": {"matchLabels": {"ray.io/cluster": "ours-noisy-student-ray"}}}
    assert policy["podSelector"] == cluster["podSelector"]
    inside, service, prometheus = policy["ingress"]
    assert inside == {"from": [cluster]}
    assert service["ports"] == [{"port": 8265, "protocol": "TCP"}]
    (expression,) = service["from"][0]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["api", "reconciler"]
    assert [each["port"] for each in prometheus["ports"]] == [8080, 44217, 44227]
    assert prometheus["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    metrics = {"from": prometheus["from"], "ports": [{"port": 9464, "protocol": "TCP"}]}
    assert _one(manifests, "NetworkPolicy", "-reconciler")["spec"]["ingress"] == [metrics]


def test_the_cluster_begins_with_its_head_and_grows_by_itself(manifests: list[Manifest]) -> None:
    cluster = _one(manifests, "RayCluster")["spec"]
    assert cluster["rayVersion"] == "2.60.0"
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ours-noisy-student-ray-token"}
    assert cluster["upgradeStrategy"] == {"type": "Recreate"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    groups = {each["groupName"]: each for each in cluster["workerGroupSpecs"]}
    assert list(groups) == ["cpu", "gpu-label", "gpu-train"]
    assert {(each["replicas"], each["minReplicas"]) for each in groups.values()} == {(0, 0)}
    assert {name: each["labels"]["ray.io/market-type"] for name, each in groups.items()} == {
        "cpu": "on-demand",
        "gpu-label": "spot",
        "gpu-train": "on-demand",
    }
    assert all(each["labels"]["noisy-student.io/group"] == name for name, each in groups.items())


def test_rays_pods_are_as_kuberay_wants_them(manifests: list[Manifest]) -> None:
    """Autoscaler v2 refuses any other restart policy, and being switched on in a second way."""
    for name, pod in _pod_specs(manifests).items():
        if name.startswith("ray"):
            assert "restartPolicy" not in pod
            assert pod["terminationGracePeriodSeconds"] == 60
            variables = {each["name"] for each in pod["containers"][0]["env"]}
            assert not variables & {"RAY_enable_autoscaler_v2", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}


def test_groups_are_added_changed_and_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(
        "ray: {groups: {gpu-train: null, cpu: {minReplicas: 1}, "
        "tpu: {maxReplicas: 2, cpu: '8', memory: 16Gi, gpus: 4, gpuResource: google.com/tpu, labels: {site: west}}}}"
    )
    cluster = _one(render("--values", file, values=GIVEN), "RayCluster")["spec"]
    groups = {each["groupName"]: each for each in cluster["workerGroupSpecs"]}
    assert list(groups) == ["cpu", "gpu-label", "tpu"]
    assert (groups["cpu"]["replicas"], groups["cpu"]["minReplicas"], groups["cpu"]["maxReplicas"]) == (1, 1, 4)
    assert groups["tpu"]["labels"]["site"] == "west"
    limits = groups["tpu"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "8", "memory": "16Gi", "google.com/tpu": "4"}


def test_a_group_with_more_at_least_than_at_most_is_refused() -> None:
    said = refusal(values={**GIVEN, "ray.groups.cpu.minReplicas": 5})
    assert "ray.groups.cpu: minReplicas 5 is more than maxReplicas 4" in said


def test_labels_for_kueue_pass_through() -> None:
    queue = {"kueue.x-k8s.io/queue-name": "ml"}
    manifests = render(values={**GIVEN, "ray.labels": queue, "ray.annotations": {"kueue.x-k8s.io/elastic-job": "true"}})
    metadata = _one(manifests, "RayCluster")["metadata"]
    assert queue.items() <= metadata["labels"].items()
    assert metadata["annotations"] == {"kueue.x-k8s.io/elastic-job": "true"}


def test_only_a_new_image_starts_the_cluster_anew() -> None:
    """KubeRay recreates all pods when anything in the spec changes except replicas and tolerations."""

    def spec(**changed: Any) -> Any:
        return _one(render(values={**GIVEN, **changed}), "RayCluster")["spec"]

    settings = {"reconciler": {"max_attempts": 7}}
    own = {"api.replicas": 4, "settings": settings, "images.controlPlane.tag": "9", "ray.labels": {"a": "b"}}
    assert spec(**own) == spec()
    assert spec(**{"images.worker.tag": "9"}) != spec()


@pytest.mark.parametrize("release", ["ours", "a" * 53, "noisy-student", "x" * 20 + "-noisy-student-" + "y" * 18])
def test_names_are_as_short_as_kuberay_and_kubernetes_want_them(release: str) -> None:
    monitored = (
        "--set",
        "monitoring.podMonitors=true,monitoring.rules=true,ingress.enabled=true,ingress.host=x.example",
    )
    for each in render(*monitored, release=release, values=GIVEN):
        most = 53 if each["kind"] == "RayCluster" else 63
        assert len(each["metadata"]["name"]) <= most
        assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", each["metadata"]["name"])


def test_two_long_names_that_differ_at_their_ends_stay_apart() -> None:
    names = [_one(render(release="a" * 52 + end, values=GIVEN), "RayCluster")["metadata"]["name"] for end in "bc"]
    assert names[0] != names[1]


def test_a_name_that_kuberay_refuses_is_refused_at_once() -> None:
    assert '"1st-noisy-student" must begin with a letter' in refusal(release="1st", values=GIVEN)


def test_secrets_that_are_made_are_of_the_right_kind_and_are_kept(manifests: list[Manifest]) -> None:
    sealing, token = _one(manifests, "Secret", "-sealing"), _one(manifests, "Secret", "-ray-token")
    Fernet(base64.b64decode(sealing["data"]["secret.keys"]))
    assert len(base64.b64decode(token["data"]["auth_token"])) == 64
    for secret in (sealing, token):
        assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_secrets_of_ones_own_are_taken() -> None:
    own = {"secrets.sealingKeys": {"existingSecret": "mine", "key": "keys"}, "secrets.rayToken.existingSecret": "tok"}
    manifests = render(values={**GIVEN, **own})
    assert not [each for each in manifests if each["kind"] == "Secret"]
    volumes = {each["name"]: each for each in _pod_specs(manifests)["api 0"]["volumes"]}
    assert volumes["sealing"]["secret"]["secretName"] == "mine"
    assert _one(manifests, "RayCluster")["spec"]["authOptions"]["secretName"] == "tok"


def test_a_shared_volume_is_at_the_same_place_in_every_pod() -> None:
    nfs = {"name": "disk", "mountPath": "/data", "source": {"nfs": {"server": "nas", "path": "/x"}}}
    manifests = render(values={"database": GIVEN["database"], "artifactRoot": "/data/runs", "sharedVolumes": [nfs]})
    for name, pod in _pod_specs(manifests).items():
        assert {"name": "disk", "nfs": {"server": "nas", "path": "/x"}} in pod["volumes"], name
        mount = {"name": "disk", "mountPath": "/data", "readOnly": False}
        assert mount in pod["containers"][0]["volumeMounts"], name


@pytest.mark.parametrize(
    "volumes",
    [[], [{"name": "d", "mountPath": "/data", "readOnly": True, "source": {"nfs": {"server": "n", "path": "/"}}}]],
)
def test_artifacts_in_a_folder_of_one_pod_alone_are_refused(volumes: list[Any]) -> None:
    said = refusal(values={"database": GIVEN["database"], "artifactRoot": "/data/runs", "sharedVolumes": volumes})
    assert 'artifactRoot "/data/runs" lies on none of sharedVolumes that can be written to' in said


def test_every_process_reaches_the_object_store_alike() -> None:
    store = {"existingSecret": "minio", "region": "r1", "endpointUrl": "http://minio:9000", "instanceMetadata": False}
    for name, pod in _pod_specs(render(values={**GIVEN, "objectStore": store})).items():
        (container,) = pod["containers"]
        environment = {each["name"]: each.get("value") for each in container["env"]}
        assert (
            environment.items()
            >= {
                "AWS_DEFAULT_REGION": "r1",
                "AWS_ENDPOINT_URL": "http://minio:9000",
                "AWS_EC2_METADATA_DISABLED": "true",
            }.items()
        ), name
        assert container["envFrom"] == [{"secretRef": {"name": "minio"}}], name


def test_the_notes_say_the_next_three_commands() -> None:
    done = run(helm(), "install", "ours", CHART, "--dry-run=client", "--values", EXAMPLES[0])
    notes = done.stdout.partition("NOTES:")[2]
    commands = [line.strip() for line in notes.splitlines() if line.startswith("     ")]
    assert [command.split()[0] for command in commands] == ["kubectl", "kubectl", "curl"], done.stderr
    assert "noisy-student keys create" in commands[1]


def test_prometheus_alone_reaches_the_metrics_of_api_and_reconciler(manifests: list[Manifest]) -> None:
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    for part in ("-api", "-reconciler"):
        (container,) = _one(manifests, "Deployment", part)["spec"]["template"]["spec"]["containers"]
        assert {"name": "metrics", "containerPort": 9464} in container["ports"]
        rules = _one(manifests, "NetworkPolicy", part)["spec"]["ingress"]
        admitted = [each for each in rules if {"port": 9464, "protocol": "TCP"} in each["ports"]]
        assert [each["from"] for each in admitted] == [prometheus]
    closed = render(values={**GIVEN, "networkPolicy": {"prometheus": []}})
    assert "ingress" not in _one(closed, "NetworkPolicy", "-reconciler")["spec"]


def test_the_service_is_scraped_where_its_metrics_are() -> None:
    monitor = _one(render(values={**GIVEN, "monitoring": {"podMonitors": True}}), "PodMonitor", "-control-plane")
    assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]
