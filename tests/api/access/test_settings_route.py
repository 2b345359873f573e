"""An admin of the whole service sees the settings that it runs with, and no secret; `doctor` judges by them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.config.settings.shown import shown_settings, without_secrets
from service.settings import Settings, setting_names
from tests.support.application import StubRay
from tests.support.changed_settings import changed_anew


@pytest.fixture
def doctor(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs doctor against the server with a key. The environment has settings that are not the service's."""
    monkeypatch.setenv("NOISY_STUDENT_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=1")
    monkeypatch.setenv("NOISY_STUDENT_API", server)

    def run(key: str, *words: str) -> Result:
        monkeypatch.setenv("NOISY_STUDENT_API_KEY", key)
        return CliRunner().invoke(commands, ["doctor", *words])

    return run


def test_every_setting_is_shown_once(as_key: Callable[..., TestClient], tmp_path: Path) -> None:
    found = as_key("admin").get("/settings").json()
    values = {each["name"]: each for each in found["settings"]}
    groups = {name.partition("__")[0] for name in values if "__" in name}
    assert {name for name in setting_names() if name not in groups and not name.startswith("OIDC__")} == values.keys()
    assert values["ACCESS__AUTHENTICATION"] == {"name": "ACCESS__AUTHENTICATION", "value": True, "is_default": False}
    assert values["RECONCILER__TICK_SECONDS"]["is_default"] is True
    assert str(tmp_path) in values["HOME"]["value"]
    assert found["home_free_bytes"] > 0


@pytest.mark.attack
def test_only_admins_of_the_whole_service_see_settings(as_key: Callable[..., TestClient]) -> None:
    for scope, project in (("viewer", None), ("operator", None), ("admin", "pets")):
        assert as_key(scope, project).get("/settings").status_code == 403


@pytest.mark.attack
def test_no_secret_is_shown(settings: Settings) -> None:
    secret = "hunter2-é"
    secretive = changed_anew(
        settings,
        ray__auth_token=SecretStr(secret),
        database_url=f"postgresql://user:{secret}@db:5432/noisy?password={secret}&connect_timeout=2",
        artifact_root=f"s3://AKIA:{secret}@bucket/runs?secret_key={secret}&region=eu",
    )
    shown = {name: value for name, value, _ in shown_settings(secretive)}
    assert secret not in json.dumps(shown, ensure_ascii=False)
    assert "AKIA" not in json.dumps(shown)
    assert shown["RAY__AUTH_TOKEN"] == "***"
    assert shown["DATABASE_URL"] == "postgresql://***@db:5432/noisy?password=***&connect_timeout=2"
    assert shown["ARTIFACT_ROOT"] == "s3://***@bucket/runs?secret_key=***&region=eu"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://token@h/x", "http://***@h/x"),
        ("https://h/x?sig=abc#a", "https://h/x?sig=***#a"),
        ("https://h/x?a=1;X-Amz-Security-Token=abc", "https://h/x?a=1;X-Amz-Security-Token=***"),
        ("a@b.example", "a@b.example"),
        ("/home/user/artifacts", "/home/user/artifacts"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
    ],
)
def test_an_address_keeps_all_but_its_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_doctor_judges_the_running_service_by_its_own_settings(
    doctor: Callable[..., Result], make_key: Callable[..., str], tmp_path: Path
) -> None:
    done = doctor(make_key("admin"), "-o", "json")
    assert done.exit_code == 0, done.output
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert found["API"]["verdict"] == found["database"]["verdict"] == found["ray"]["verdict"] == "ok"
    assert found["caller"]["found"].endswith("admin, all projects")
    assert found["database of the service"]["found"].startswith("sqlite:///")
    assert "nobody@127.0.0.1" not in done.output
    assert found["authentication"]["found"] == "requests need a key"
    assert found["NOISY_STUDENT_ACCESS__AUTHENTICATION"]["found"] == "True"


def test_doctor_says_what_it_may_not_see_and_what_does_not_answer(
    doctor: Callable[..., Result], make_key: Callable[..., str], ray: StubRay
) -> None:
    seen = doctor(make_key("viewer"))
    assert seen.exit_code == 0, seen.output
    assert "only a key of scope admin" in " ".join(seen.output.split())
    ray.away = True
    assert doctor(make_key("viewer")).exit_code == ExitCode.ERROR
    unknown = doctor("nsk_no", "-o", "yaml")
    assert unknown.exit_code == ExitCode.ERROR
    assert "noisy-student login" in unknown.stdout


def test_the_version_of_the_service_is_told_where_it_answers(
    server: str, make_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("NOISY_STUDENT_API_KEY", make_key("viewer"))
    told = CliRunner().invoke(commands, ["--version"])
    own, service = told.stdout.splitlines()
    assert service == f"service at {server}: {own.split()[1]}"
    monkeypatch.setenv("NOISY_STUDENT_API", "http://127.0.0.1:9")
    assert CliRunner().invoke(commands, ["--version"]).stdout == f"{own}\n"
