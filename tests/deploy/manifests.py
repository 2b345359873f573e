"""Renders the chart, and validates the result with schemas that accept no unknown field."""

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import jsonschema
import kubernetes_validate
import referencing
import yaml

from tests.deploy.places import CHART, KUBERNETES_VERSIONS
from tests.deploy.tools import helm, run

Manifest = dict[str, Any]
RAY_CLUSTER = ("ray.io/v1", "RayCluster")
CRDS = "KUBERAY_CRDS"
"""The environment variable with a folder of CustomResourceDefinitions, *.yaml or *.yaml.gz: KubeRay's, and others."""
GIVEN = {"artifactRoot": "s3://bucket/runs", "database": {"existingSecret": "database"}}
"""The minimum values that the chart requires."""


def render(*options: str | Path, release: str = "ours", values: Mapping[str, Any] | None = None) -> list[Manifest]:
    """The manifests of a release, as Helm renders them."""
    done = _template(release, options, values or {})
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def refusal(*options: str | Path, release: str = "ours", values: Mapping[str, Any] | None = None) -> str:
    """Helm's error message for values that it does not render."""
    done = _template(release, options, values or {})
    assert done.returncode != 0, "it is rendered"
    return done.stderr


def _template(release: str, options: tuple[str | Path, ...], values: Mapping[str, Any]) -> CompletedProcess[str]:
    given = [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    return run(helm(), "template", release, CHART, *options, *given)


def faults(manifest: Manifest) -> list[str]:
    """What is wrong with the manifest. A kind without a schema counts as wrong."""
    kind = manifest.get("apiVersion", ""), manifest.get("kind", "")
    if (schema := schemas().get(kind)) is not None:
        return [*_errors(jsonschema.Draft202012Validator(schema), manifest), *_by_pod_templates(manifest)]
    if kind == RAY_CLUSTER:
        return _by_pod_templates(manifest)
    return _by_kubernetes(manifest)


def knows_ray_clusters() -> bool:
    """Whether KubeRay's resource definitions are available."""
    return RAY_CLUSTER in schemas()


def _by_kubernetes(manifest: Manifest) -> list[str]:
    found = []
    for version in KUBERNETES_VERSIONS:
        validator = _kubernetes_validator(version, manifest["kind"], manifest["apiVersion"])
        if validator is None:
            found.append(f"Kubernetes {version} has no {manifest['kind']} of {manifest['apiVersion']}")
        else:
            found += [f"{version}: {fault}" for fault in _errors(validator, manifest)]
    return found


@cache
def _kubernetes_validator(version: str, kind: str, api_version: str) -> jsonschema.Draft202012Validator | None:
    """The validator of `kubernetes_validate.validate(..., strict=True)`, which reads its files for each manifest."""
    group, _, number = api_version.rpartition("/")
    name = f"{kind}-{group.split('.')[0]}-{number}" if group else f"{kind}-{number}"
    try:
        schema = kubernetes_schema(version, name.lower())
    except FileNotFoundError:
        return None
    return jsonschema.Draft202012Validator(schema, registry=_kubernetes_definitions(version))


@cache
def _kubernetes_definitions(version: str) -> referencing.Registry[Any]:
    resource = referencing.Resource.from_contents(kubernetes_schema(version, "_definitions"))
    return resource @ referencing.Registry()


def kubernetes_schema(version: str, name: str) -> Any:
    """One of the strict schemas in the package kubernetes-validate. Raises FileNotFoundError if it has none."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def _by_pod_templates(manifest: Manifest) -> list[str]:
    """What is wrong with the pods of a RayCluster, by Kubernetes' own schema, even without KubeRay's definitions."""
    spec = manifest.get("spec", {})
    templates = [spec.get("headGroupSpec", {}), *spec.get("workerGroupSpecs", [])] if "headGroupSpec" in spec else []
    return [
        fault
        for each in templates
        for fault in _by_kubernetes({"apiVersion": "v1", "kind": "PodTemplate", "template": each.get("template")})
    ]


def _errors(validator: jsonschema.Draft202012Validator, manifest: Manifest) -> list[str]:
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in validator.iter_errors(manifest)
    ]


@cache
def schemas() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The schemas by API version and kind: the Prometheus operator's, as far as the chart uses them, and given ones."""
    ours = yaml.safe_load(Path(__file__).with_name("prometheus_operator.yaml").read_text(encoding="utf-8"))
    found = {("monitoring.coreos.com/v1", kind): schema for kind, schema in ours.items()}
    for definition in _given_definitions():
        for version in definition["spec"]["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{definition['spec']['group']}/{version['name']}", definition["spec"]["names"]["kind"]] = schema
    return found


def _given_definitions() -> Iterator[Any]:
    folder = os.environ.get(CRDS)
    for file in sorted(Path(folder).glob("*.yaml*")) if folder else ():
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        yield from (each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each)


def closed(schema: Any) -> Any:
    """The same schema, but closed to unknown fields, which a real server drops silently."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    same = {key: each if key in ("enum", "default", "required") else closed(each) for key, each in schema.items()}
    if same.pop("x-kubernetes-int-or-string", False):
        same.pop("type", None)
        same["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if same.pop("nullable", False) and "type" in same:
        same["type"] = [same["type"], "null"]
    is_record = isinstance(same.get("properties"), dict) and same.get("type") == "object"
    if is_record and not same.get("x-kubernetes-preserve-unknown-fields"):
        same.setdefault("additionalProperties", False)
    return same
