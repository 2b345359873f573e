"""compose.yaml conforms to the Compose specification, and names settings, images and files that exist."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.places import DEPLOY, REPOSITORY
from tests.deploy.tools import promtool, run
from tests.deploy.variables import is_setting

COMPOSE = DEPLOY / "compose.yaml"
CHECKER = Path(sys.executable).with_name("check-jsonschema")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def _complaint(file: Path) -> str:
    """Validates against the specification's schema, which the package check-jsonschema contains."""
    done = run(CHECKER, "--builtin-schema", "vendor.compose-spec", file)
    return done.stdout if done.returncode else ""


def test_it_is_what_the_specification_takes() -> None:
    assert _complaint(COMPOSE) == ""


@pytest.mark.parametrize(("right", "wrong"), [("read_only:", "readonly:"), ("healthcheck:", "healthchek:")])
def test_a_misspelt_key_is_caught(right: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.read_text(encoding="utf-8").replace(right, wrong, 1), encoding="utf-8")
    assert "does not match any of the regexes" in _complaint(file) or "not allowed" in _complaint(file)


def test_it_has_the_service_a_ray_head_database_bucket_and_monitoring(compose: dict[str, Any]) -> None:
    expected = {"api", "reconciler", "ray-head", "postgres", "minio", "buckets", "prometheus", "grafana"}
    assert set(compose["services"]) == expected


def test_its_variables_are_settings_and_api_and_reconciler_share_them(compose: dict[str, Any]) -> None:
    api, reconciler = (compose["services"][name]["environment"] for name in ("api", "reconciler"))
    assert api == reconciler
    assert [name for name in api if name.startswith("NOISY_STUDENT_") and not is_setting(name)] == []


def test_no_port_is_open_to_other_machines_and_none_of_rays_at_all(compose: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)
    assert ports["ray-head"] == []


def test_what_it_builds_and_mounts_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if "build" in service:
            assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).is_dir() if source.startswith(".") else source in compose["volumes"]


def test_every_variable_that_it_asks_for_is_made_by_the_readmes_command() -> None:
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    made = re.findall(r"^(\w+)=\$\(openssl", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(made) == asked


def test_prometheus_takes_its_configuration(compose: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yaml"
    file.write_text(compose["configs"]["prometheus"]["content"], encoding="utf-8")
    done = run(promtool(), "check", "config", "--syntax-only", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_prometheus_scrapes_the_service_where_it_answers(compose: dict[str, Any]) -> None:
    jobs = yaml.safe_load(compose["configs"]["prometheus"]["content"])["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    for part, variable in {"api": "API_PORT", "reconciler": "RECONCILER_PORT"}.items():
        settings = compose["services"][part]["environment"]
        assert settings["NOISY_STUDENT_METRICS__HOST"] == "0.0.0.0"
        assert f"{part}:{settings[f'NOISY_STUDENT_METRICS__{variable}']}" in targets
