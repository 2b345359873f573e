"""`noisy-student keys` creates the first key in the database itself, and the others over REST."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.settings import Settings


@pytest.fixture
def app(secured: FastAPI) -> FastAPI:
    """The application of these tests, with authentication."""
    return secured


@pytest.fixture
def cli(secured_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("NOISY_STUDENT_HOME", str(secured_settings.home))
    monkeypatch.delenv("NOISY_STUDENT_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(commands, ["keys", *arguments])


def test_the_first_key_is_made_in_the_database_and_works_over_rest(
    secured: FastAPI, cli: Callable[..., Any], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cli("create", "--name", "first", "--scope", "admin")
    assert made.exit_code == 0, made.output
    [key] = made.stdout.split()
    monkeypatch.setenv("NOISY_STUDENT_API_KEY", key)
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    more = cli("create", "--name", "pets", "--scope", "operator", "--project", "pets", "--expires-in-days", "1")
    assert more.exit_code == 0, more.output
    listed = json.loads(cli("list", "-o", "json").stdout)
    assert [(each["name"], each["project"]) for each in listed] == [("pets", "pets"), ("first", None)]
    assert key.split("_", 2)[2] not in cli("list").stdout
    assert cli("revoke", listed[1]["id"]).exit_code == 0
    refused = cli("list")
    assert refused.exit_code == ExitCode.NO_ACCESS
    assert "NOISY_STUDENT_API_KEY" in refused.stderr


def test_what_is_done_in_the_database_is_on_the_audit_log(secured: FastAPI, cli: Callable[..., Any]) -> None:
    key_id = json.loads(cli("create", "--name", "k", "--scope", "viewer", "-o", "json").stdout)["id"]
    assert cli("revoke", key_id).exit_code == 0
    assert cli("revoke", "key-000000000000").exit_code == ExitCode.NOT_FOUND
    failed, revoked, made = secured.state.services.audit.list_entries().items
    assert (made.method, made.path, made.location) == ("POST", "/keys", f"/keys/{key_id}")
    assert made.subject.startswith("cli:")
    assert (revoked.method, revoked.status) == ("DELETE", 200)
    assert failed.status == 404


def test_a_request_that_cannot_work_says_why(secured: FastAPI, cli: Callable[..., Any]) -> None:
    refused = cli("create", "--name", "k", "--scope", "viewer", "--project", "No Such")
    assert refused.exit_code == ExitCode.REFUSED
    assert "project" in refused.stderr
    assert "Traceback" not in refused.output
