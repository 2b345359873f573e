"""The chart's environment variables are settings of the service, and its schema for them is the service's own."""

import json
from typing import Any

import pytest

from service.settings import Settings
from tests.deploy.manifests import GIVEN, Manifest, render
from tests.deploy.places import EXAMPLES
from tests.deploy.values_schema import FOR_ONE_MACHINE, SCHEMA, renewed, variables_of_the_chart
from tests.deploy.variables import is_setting

_GROUPS = "NOISY_STUDENT_PLACEMENT__NODE_GROUPS"
SECRETS = {
    "NOISY_STUDENT_DATABASE_URL": "postgresql://user:word@host/db",
    "NOISY_STUDENT_RAY__AUTH_TOKEN": "token",
}


def _environment(manifests: list[Manifest], part: str) -> dict[str, str]:
    """The environment variables of the API or the reconciler, including those from Secrets."""
    (deployment,) = (e for e in manifests if e["kind"] == "Deployment" and e["metadata"]["name"].endswith(part))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") or SECRETS[each["name"]] for each in container["env"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_every_variable_of_an_example_is_a_setting_and_is_read(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = render("--values", example)
    environment = _environment(manifests, "-api")
    assert _environment(manifests, "-reconciler").items() <= environment.items()
    ours = {name: value for name, value in environment.items() if name.startswith("NOISY_STUDENT_")}
    assert [name for name in ours if not is_setting(name)] == []
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database_url == "postgresql://user:word@host/db"
    assert settings.artifact_root.endswith(("/noisy-student", "/artifacts"))
    assert settings.access.authentication
    assert not settings.on_loopback


def test_the_service_knows_the_groups_of_the_ray_cluster_with_their_sizes_limits_and_labels() -> None:
    groups = {
        "cpu": {"cpu": "1500m", "memory": "2Gi", "maxReplicas": 3, "labels": {"team.example/tier": "a"}},
        "gpu-label": None,
        "gpu-train": {"gpus": 4, "cpu": "12"},
    }
    manifests = render(values={**GIVEN, "ray": {"groups": groups}})
    known = {each["name"]: each for each in json.loads(_environment(manifests, "-api")[_GROUPS])}
    (cluster,) = (each["spec"] for each in manifests if each["kind"] == "RayCluster")

    assert known["cpu"].items() >= {"cpus": 2, "gpus": 0, "max_nodes": 3}.items()  # KubeRay rounds up
    assert known["gpu-train"].items() >= {"cpus": 12, "gpus": 4, "max_nodes": 8}.items()
    rendered = {each["groupName"]: each["labels"] for each in cluster["workerGroupSpecs"]}
    assert {name: each["labels"] for name, each in known.items()} == rendered
    assert known["cpu"]["labels"]["team.example/tier"] == "a"


def test_settings_pass_through_with_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "server": {"max_body_bytes": 4_194_304},
        "reconciler": {"tick_seconds": 0.5},
        "umask": "007",
        "datasets": {"roots": ["s3://pictures", "/data"], "roots_by_project": {"pets": ["s3://pets"]}},
        "oidc": {"issuer": "https://id.example", "audience": "a", "jwks_url": "https://id.example/jwks"},
    }
    for name, value in _environment(render(values={**GIVEN, "settings": given}), "-api").items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    read = settings.model_dump(mode="json")
    assert read["umask"] == given["umask"]
    for group in ("server", "reconciler", "datasets"):
        assert given[group].items() <= read[group].items()
    assert settings.server.host == "0.0.0.0", "the chart's own, in the same group"
    assert settings.oidc is not None
    assert settings.oidc.audience == "a"


def test_a_variable_that_is_no_setting_is_found() -> None:
    assert is_setting("NOISY_STUDENT_OIDC__ISSUER")
    assert not is_setting("NOISY_STUDENT_OIDC__ISSUERS")
    assert not is_setting("NOISY_STUDENT_RECONCILER__MAX_ATTEMPT")
    assert not is_setting("NOISY_STUDENT_HOME__X")


def test_what_the_chart_sets_itself_are_settings_and_cannot_be_given() -> None:
    variables = {*variables_of_the_chart(), *FOR_ONE_MACHINE}
    assert [name for name in variables if not is_setting(name)] == []


def test_the_schema_knows_the_settings_as_they_are() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert renewed(schema) == schema, "write it anew: make chart-schema"
