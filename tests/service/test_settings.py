"""Settings and what follows from them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.config.access import Scope
from service.dataset_roots import RootsByProject
from service.settings import Settings, is_loopback


def test_everything_lies_below_home_by_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/noisy-student.db"
    assert settings.artifact_root == f"{tmp_path}/artifacts"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_RAY_AUTH_TOKEN", "open sesame")
    monkeypatch.setenv("NOISY_STUDENT_MAX_ATTEMPTS", "7")

    settings = Settings()

    assert settings.max_attempts == 7
    assert "sesame" not in repr(settings)


def test_a_relative_artifact_root_becomes_absolute_because_stages_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Settings(artifact_root="here").artifact_root == str(tmp_path / "here")
    assert Settings(artifact_root="s3://bucket/there/").artifact_root == "s3://bucket/there"


def test_links_lead_to_the_jobs_api_unless_told_otherwise() -> None:
    assert Settings(ray_jobs_url="http://head:8265/").dashboard_url == "http://head:8265"
    assert Settings(dashboard_url="https://ray.example/").dashboard_url == "https://ray.example"


def test_a_tick_without_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="tick_seconds"):
        Settings(tick_seconds=0)


def test_every_setting_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`{name}`" in documented or f"`{name}__" in documented, name


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("LocalHost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "localhost.example.com", "")],
)
def test_loopback_is_told_from_what_others_can_reach(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_laptop_reads_datasets_anywhere_and_a_guarded_service_nowhere_unless_told(tmp_path: Path) -> None:
    assert Settings().dataset_roots is None
    assert Settings(authentication=True).dataset_roots == ()
    roots = Settings(authentication=True, dataset_roots=(f"{tmp_path}/", "s3://pictures/")).dataset_roots
    assert roots == (str(tmp_path), "s3://pictures")


def test_roots_and_the_identity_provider_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATASET_ROOTS", '["/data", "s3://"]')
    monkeypatch.setenv("NOISY_STUDENT_OIDC__ISSUER", "https://id.example")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__AUDIENCE", "us")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__JWKS_URL", "https://id.example/jwks")
    monkeypatch.setenv("NOISY_STUDENT_OIDC__SCOPES", '{"ops": "operator"}')
    monkeypatch.setenv("NOISY_STUDENT_OIDC__LEEWAY_SECONDS", "10")

    settings = Settings()

    assert settings.dataset_roots == ("/data", "s3://")
    assert settings.oidc is not None
    assert (settings.oidc.scopes, settings.oidc.leeway_seconds) == ({"ops": Scope.OPERATOR}, 10)


def test_with_authentication_links_lead_to_the_dashboard_through_the_service() -> None:
    assert Settings(authentication=True).dashboard_url == "/ray"


def test_a_project_with_roots_of_its_own_has_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATASET_ROOTS", '["/shared"]')
    monkeypatch.setenv("NOISY_STUDENT_DATASET_ROOTS_BY_PROJECT", '{"pets": ["/pets/"], "none": []}')
    roots = Settings(authentication=True).roots_by_project
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
@pytest.mark.parametrize("setting", ["dataset_roots", "dataset_roots_by_project"])
def test_a_root_around_the_services_own_files_is_refused_at_start(tmp_path: Path, root: str, setting: str) -> None:
    home = tmp_path / "home"
    (home / "artifacts").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    roots = (root.format(home=home, tmp=tmp_path),)
    with pytest.raises(ValueError, match="dataset_roots"):
        Settings(
            home=home,
            database_url=f"sqlite:///{tmp_path}/db/noisy.db",
            **{setting: roots if setting == "dataset_roots" else {"pets": roots}},
        )
    Settings(home=home, dataset_roots=(str(tmp_path / "images"), str(home / "images"), "s3://pictures"))


@pytest.mark.parametrize("root", ["s3://bucket", "s3://", "s3://bucket/art", "s3://bucket/art/datasets/ds-1"])
def test_a_root_around_artifacts_in_a_bucket_is_refused_at_start(tmp_path: Path, root: str) -> None:
    with pytest.raises(ValueError, match="artifact_root"):
        Settings(home=tmp_path, artifact_root="s3://bucket/art", dataset_roots=(root,))
    Settings(home=tmp_path, artifact_root="s3://bucket/art", dataset_roots=("s3://bucket/images", "gs://"))
