"""Settings and the values derived from them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.config.access import Scope
from service.config.settings.names import MOVED, OF_OTHERS
from service.dataset_roots import RootsByProject
from service.settings import Settings, is_loopback, setting_names, wrong_settings
from tests.support.changed_settings import settings_of


def test_everything_lies_below_home_by_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/noisy-student.db"
    assert settings.artifact_root == f"{tmp_path}/artifacts"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_RAY__AUTH_TOKEN", "open sesame")
    monkeypatch.setenv("NOISY_STUDENT_RECONCILER__MAX_ATTEMPTS", "7")

    settings = Settings()

    assert settings.reconciler.max_attempts == 7
    assert "sesame" not in repr(settings)


def test_a_relative_artifact_root_becomes_absolute_because_stages_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Settings(artifact_root="here").artifact_root == str(tmp_path / "here")
    assert Settings(artifact_root="s3://bucket/there/").artifact_root == "s3://bucket/there"


def test_links_lead_to_the_jobs_api_unless_told_otherwise() -> None:
    assert settings_of(ray__jobs_url="http://head:8265/").ray.dashboard_url == "http://head:8265"
    assert settings_of(ray__dashboard_url="https://ray.example/").ray.dashboard_url == "https://ray.example"


def test_a_tick_without_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="tick_seconds"):
        settings_of(reconciler__tick_seconds=0)


def test_every_setting_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in setting_names():
        group, _, field = name.lower().partition("__")
        shown = f"{group}.{field}" if field else group
        assert f"`{shown}`" in documented or f"`{shown}." in documented or group == "oidc", shown


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("LocalHost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "localhost.example.com", "")],
)
def test_loopback_is_told_from_what_others_can_reach(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_laptop_reads_datasets_anywhere_and_a_guarded_service_nowhere_unless_told(tmp_path: Path) -> None:
    assert Settings().datasets.roots is None
    assert settings_of(access__authentication=True).datasets.roots == ()
    roots = settings_of(access__authentication=True, datasets__roots=(f"{tmp_path}/", "s3://pictures/")).datasets.roots
    assert roots == (str(tmp_path), "s3://pictures")


def test_roots_and_the_identity_provider_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATASETS__ROOTS", '["/data", "s3://"]')
    monkeypatch.setenv("NOISY_STUDENT_OIDC__ISSUER", "https://id.example")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__AUDIENCE", "us")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__JWKS_URL", "https://id.example/jwks")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__SCOPES", '{"ops": "operator"}')
    monkeypatch.setenv("NOISY_STUDENT_OIDC__LEEWAY_SECONDS", "10")

    settings = Settings()

    assert settings.datasets.roots == ("/data", "s3://")
    assert settings.oidc is not None
    assert (settings.oidc.scopes, settings.oidc.leeway_seconds) == ({"ops": Scope.OPERATOR}, 10)


def test_with_authentication_links_lead_to_the_dashboard_through_the_service() -> None:
    assert settings_of(access__authentication=True).ray.dashboard_url == "/ray"


def test_a_project_with_roots_of_its_own_has_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATASETS__ROOTS", '["/shared"]')
    monkeypatch.setenv("NOISY_STUDENT_DATASETS__ROOTS_BY_PROJECT", '{"pets": ["/pets/"], "none": []}')
    roots = settings_of(access__authentication=True).roots_by_project
    assert roots.of("pets").roots == ("/pets",)
    assert roots.of("none").roots == ()
    assert roots.of("another").roots == ("/shared",)
    assert roots.of_all(["pets"]) == ("/pets",)
    assert roots.of_all(["pets", "another"]) == ("/shared", "/pets")
    assert RootsByProject(None, {"pets": ("/pets",)}).of_all(["pets"]) == ("/pets",)
    assert RootsByProject(None, {"pets": ("/pets",)}).of_all(["pets", "another"]) is None


@pytest.mark.parametrize(
    "root", ["{home}", "{home}/..", "/", "{home}/artifacts", "{home}/artifacts/datasets", "{tmp}/link", "{tmp}/db"]
)
@pytest.mark.parametrize("setting", ["datasets__roots", "datasets__roots_by_project"])
def test_a_root_around_the_services_own_files_is_refused_at_start(tmp_path: Path, root: str, setting: str) -> None:
    home = tmp_path / "home"
    (home / "artifacts").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    roots = (root.format(home=home, tmp=tmp_path),)
    with pytest.raises(ValueError, match=r"datasets\.roots"):
        settings_of(
            home=home,
            database_url=f"sqlite:///{tmp_path}/db/noisy.db",
            **{setting: roots if setting == "datasets__roots" else {"pets": roots}},
        )
    settings_of(home=home, datasets__roots=(str(tmp_path / "images"), str(home / "images"), "s3://pictures"))


@pytest.mark.parametrize("root", ["s3://bucket", "s3://", "s3://bucket/art", "s3://bucket/art/datasets/ds-1"])
def test_a_root_around_artifacts_in_a_bucket_is_refused_at_start(tmp_path: Path, root: str) -> None:
    with pytest.raises(ValueError, match="artifact_root"):
        settings_of(home=tmp_path, artifact_root="s3://bucket/art", datasets__roots=(root,))
    settings_of(home=tmp_path, artifact_root="s3://bucket/art", datasets__roots=("s3://bucket/images", "gs://"))


@pytest.mark.parametrize(("old", "new"), sorted(MOVED.items()))
def test_a_variable_that_was_renamed_is_refused_with_its_new_name(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert new in set(setting_names())
    monkeypatch.setenv(f"NOISY_STUDENT_{old}", "a secret")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert wrong_settings(refused.value) == [f"NOISY_STUDENT_{old} is now NOISY_STUDENT_{new}"]


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("HOMME", "HOME"),
        ("RAY__JOB_URL", "RAY__JOBS_URL"),
        ("RAY_JOBS__URL", "RAY__JOBS_URL"),
        ("OIDC__ISUER", "OIDC__ISSUER"),
        ("RECONCILER__LEASE", "RECONCILER__LEASE_SECONDS"),
        ("WEBHOOK__MAX_ATTEMPTS", "WEBHOOKS__MAX_ATTEMPTS"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, nearest: str
) -> None:
    monkeypatch.setenv(f"NOISY_STUDENT_{misspelt}", "x")
    with pytest.raises(ValidationError) as refused:
        Settings()
    [line] = wrong_settings(refused.value)
    assert line.startswith(f"NOISY_STUDENT_{misspelt} is no setting; NOISY_STUDENT_{nearest} is the nearest")


def test_variables_of_others_that_begin_alike_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_OTHERS:
        monkeypatch.setenv(f"NOISY_STUDENT_{name}", "x")
    # Kubernetes sets these in every pod next to a Service `noisy-student` or `noisy-student-api`.
    for name in ("SERVICE_HOST", "API_SERVICE_PORT", "API_SERVICE_PORT_HTTP", "PORT_8000_TCP_ADDR"):
        monkeypatch.setenv(f"NOISY_STUDENT_{name}", "10.0.0.1")
    for name in ("PORT", "API_PORT", "API_PORT_8000_TCP"):
        monkeypatch.setenv(f"NOISY_STUDENT_{name}", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("NOISY_STUDENT_DATASETS__ROOTS_BY_PROJECT__PETS", '["/pets"]')
    settings = Settings()
    assert settings.server.port == 8000
    assert settings.datasets.roots_by_project == {"pets": ("/pets",)}


@pytest.mark.parametrize("module", ["api", "service.reconcile"])
def test_a_process_says_in_a_line_each_which_settings_are_wrong(tmp_path: Path, module: str) -> None:
    wrong = {"NOISY_STUDENT_SERVER__PORT": "-1", "NOISY_STUDENT_RECONCILER__TICK_SECONDS": "never"}
    environment = {**os.environ, "NOISY_STUDENT_HOME": str(tmp_path / "home"), **wrong}
    done = subprocess.run([sys.executable, "-m", module], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    first, *lines = done.stderr.splitlines()
    assert first == "settings are wrong:"
    assert [line.partition(":")[0] for line in lines] == list(wrong)
    assert list(tmp_path.iterdir()) == []
