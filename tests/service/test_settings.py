"""Settings and what follows from them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_everything_lies_below_home_by_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/noisy-student.db"
    assert settings.artifact_root == f"{tmp_path}/artifacts"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("NOISY_STUDENT_MAX_ATTEMPTS", "7")

    settings = Settings()

    assert settings.max_attempts == 7
    assert "secret" not in repr(settings)


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
