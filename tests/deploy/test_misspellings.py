"""A misspelled name is found anywhere: in values, in Kubernetes' fields, and in KubeRay's."""

import copy
import json
import pathlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.manifests import (
    CRDS,
    GIVEN,
    RAY_CLUSTER,
    Manifest,
    faults,
    knows_ray_clusters,
    refusal,
    render,
)
from tests.deploy.places import CHART, EXAMPLES
from tests.deploy.tools import helm, run

Path = tuple[str | int, ...]
FREE_NAMES = {
    "labels", "annotations", "matchLabels", "nodeSelector", "podLabels", "podAnnotations", "dashboardLabels",
    "data", "requests", "limits", "rayStartParams", "groups", "scopes",
}  # fmt: skip
"""Fields whose keys are the user's own names, as are all keys with a slash."""
MONITORED = ("--set", "monitoring.podMonitors=true,monitoring.rules=true")


def _places(node: Any, path: Path = ()) -> Iterator[Path]:
    """Yields the paths of all keys whose names are fixed by a schema."""
    if isinstance(node, dict):
        for key, each in node.items():
            if (not path or path[-1] not in FREE_NAMES) and "/" not in key:
                yield (*path, key)
            yield from _places(each, (*path, key))
    elif isinstance(node, list):
        for index, each in enumerate(node):
            yield from _places(each, (*path, index))


def _misspelt(node: Any, path: Path) -> Any:
    """The document with one extra letter in the key at that path."""
    changed = copy.deepcopy(node)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[f"{path[-1]}s"] = holder.pop(path[-1])
    return changed


@cache
def _manifests() -> list[Manifest]:
    """One manifest of each kind, from an example."""
    first: dict[str, Manifest] = {}
    for each in render("--values", EXAMPLES[0], *MONITORED):
        first.setdefault(each["kind"], each)
    return list(first.values())


def _laid_over(below: Any, above: Any) -> Any:
    """The values merged into the chart's own, as Helm does it."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: _laid_over(below.get(key), each) for key, each in above.items()}}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_every_value_that_is_misspelt_is_refused_by_the_schema(example: pathlib.Path) -> None:
    texts = (file.read_text(encoding="utf-8") for file in (CHART / "values.yaml", example))
    values = _laid_over(*map(yaml.safe_load, texts))
    schema = jsonschema.Draft202012Validator(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))
    assert list(schema.iter_errors(values)) == []
    places = list(_places(values))
    assert len(places) > 25
    assert [path for path in places if schema.is_valid(_misspelt(values, path))] == []


@pytest.mark.parametrize(
    "misspelt",
    [
        {"artefactRoot": "s3://bucket/runs"},
        {"api": {"replica": 3}},
        {"database": {"existingSecrets": "database"}},
        {"settings": {"datasets": {"root": ["s3://pictures"]}}},
        {
            "settings": {
                "oidc": {"issuer": "https://id.example", "audience": "a", "jwks_url": "https://id", "scope": {}}
            }
        },
        {"settings": {"database_url": "postgresql://elsewhere/x"}},
        {"ray": {"groups": {"cpu": {"maxReplica": 3}}}},
        {"ray": {"head": {"tolerations": [{"key": "a", "operators": "Exists"}]}}},
        {"api": {"resources": {"limit": {"cpu": "1"}}}},
        {"networkPolicy": {"prometheus": [{"podSelectors": {}}]}},
        {"monitoring": {"podMonitor": True}},
    ],
    ids=lambda values: "_".join(values),
)
def test_helm_lint_refuses_a_misspelt_value(misspelt: dict[str, Any], tmp_path: pathlib.Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(misspelt), encoding="utf-8")
    done = run(helm(), "lint", "--strict", CHART, "--values", EXAMPLES[0], "--values", file)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stdout + done.stderr


def test_an_upgrade_with_a_misspelt_value_is_refused_too() -> None:
    assert "additional properties 'replica' not allowed" in refusal(values={**GIVEN, "api.replica": 3})


def test_every_misspelt_field_of_a_manifest_is_caught() -> None:
    uncaught = [
        (manifest["kind"], path)
        for manifest in _manifests()
        if (manifest["apiVersion"], manifest["kind"]) != RAY_CLUSTER
        for path in _places({key: each for key, each in manifest.items() if key != "metadata"})
        if path[0] not in ("kind", "apiVersion") and not faults(_misspelt(manifest, path))
    ]
    assert uncaught == []


def test_every_misspelt_field_of_rays_pods_is_caught_by_kubernetes_own_schemas() -> None:
    (cluster,) = (each for each in _manifests() if (each["apiVersion"], each["kind"]) == RAY_CLUSTER)
    pods = {"spec": {"headGroupSpec": {"template": cluster["spec"]["headGroupSpec"]["template"]}}}
    inner = [path for path in _places(pods) if len(path) > 3]
    assert [path for path in inner if not faults(_misspelt(cluster, path))] == []


def test_every_misspelt_field_of_a_ray_cluster_is_caught() -> None:
    if not knows_ray_clusters():
        pytest.skip(f"KubeRay's definitions are not here: set {CRDS} to a folder with those of version 1.7 (*.yaml)")
    (cluster,) = (each for each in _manifests() if (each["apiVersion"], each["kind"]) == RAY_CLUSTER)
    one_group = copy.deepcopy(cluster)
    del one_group["spec"]["workerGroupSpecs"][1:]
    places = [("spec", *path) for path in _places(one_group["spec"])]
    assert [path for path in places if not faults(_misspelt(one_group, path))] == []


def test_a_kind_that_nobody_knows_does_not_pass() -> None:
    assert "has no Services of v1" in faults({"apiVersion": "v1", "kind": "Services", "metadata": {"name": "x"}})[0]
    assert faults({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}}) != []
