"""Helm, Kubernetes and KubeRay accept each example, down to the last field."""

from pathlib import Path

import pytest

from tests.deploy.manifests import CRDS, RAY_CLUSTER, faults, knows_ray_clusters, render
from tests.deploy.places import CHART, EXAMPLES
from tests.deploy.tools import helm, run

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)


def test_there_are_examples_of_two_clouds_and_of_a_cluster_of_ones_own() -> None:
    assert [example.stem for example in EXAMPLES] == ["eks", "gke", "on-premises"]


@each_example
def test_an_example_passes_helms_strict_lint(example: Path) -> None:
    done = run(helm(), "lint", "--strict", CHART, "--values", example)
    assert done.returncode == 0, done.stdout + done.stderr


@each_example
def test_an_example_has_only_fields_that_kubernetes_knows(example: Path) -> None:
    monitored = ("--set", "monitoring.podMonitors=true,monitoring.rules=true,monitoring.dashboards=true")
    manifests = render("--values", example, *monitored)
    assert {f"{each['kind']} {each['metadata']['name']}": faults(each) for each in manifests if faults(each)} == {}
    assert {"Deployment", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "PrometheusRule"} <= {
        each["kind"] for each in manifests
    } | {"Ingress"}


@each_example
def test_an_example_has_only_fields_that_kuberay_knows(example: Path) -> None:
    if not knows_ray_clusters():
        pytest.skip(f"KubeRay's definitions are not here: set {CRDS} to a folder with those of version 1.7 (*.yaml)")
    (cluster,) = (each for each in render("--values", example) if (each["apiVersion"], each["kind"]) == RAY_CLUSTER)
    assert faults(cluster) == []
