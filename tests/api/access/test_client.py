"""The client sends its key to an API that requires one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from noisy_student import ApiError, Client, Forbidden, NotFound, TooManyRequests, Unauthorized
from noisy_student.local.own_keys import keep_own_key
from service.config.access import KeyRequest, Scope
from service.settings import Settings
from tests.api.access.conftest import MakeKey
from tests.support.changed_settings import changed_anew


@pytest.fixture
def app(secured: FastAPI) -> FastAPI:
    """The application of these tests, with authentication."""
    return secured


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOISY_STUDENT_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_key_is_given_or_taken_from_the_environment(
    server: str, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server, make_key("viewer")) as client:
        assert client.service.me().scope == Scope.VIEWER
    monkeypatch.setenv("NOISY_STUDENT_API_KEY", make_key("operator"))
    with Client(server) as client:
        assert client.service.me().scope == Scope.OPERATOR


def test_the_key_of_the_local_stack_is_found_by_its_address(server: str, make_key: MakeKey, tmp_path: Path) -> None:
    keep_own_key(server, make_key("admin"))
    with Client(server) as client:
        assert client.service.me().scope == Scope.ADMIN
    [file] = tmp_path.rglob("*.key")
    os.chmod(file, 0o644)
    with pytest.raises(ApiError, match="is not yours alone"):
        Client(server)


def test_no_key_and_a_wrong_one_are_unauthorized(server: str) -> None:
    for key in (None, "nsk_000000000000_wrong"):
        with Client(server, key) as client, pytest.raises(Unauthorized, match="NOISY_STUDENT_API_KEY"):
            client.service.me()


def test_what_a_key_may_not_is_forbidden_and_what_it_does_not_see_is_not_there(
    server: str, make_key: MakeKey, run_body: Callable[[TestClient], dict[str, Any]], as_key: Callable[..., TestClient]
) -> None:
    with Client(server, make_key("viewer")) as viewer, pytest.raises(Forbidden) as refused:
        viewer.keys.create(KeyRequest(name="more", scope=Scope.VIEWER, project=None))
    assert refused.value.problem.type.endswith(":forbidden")
    run_id = as_key("operator").post("/runs", json=run_body(as_key("operator"))).json()["id"]
    with Client(server, make_key("operator", "elsewhere")) as stranger, pytest.raises(NotFound):
        stranger.runs.get(run_id)


def test_keys_are_made_listed_and_revoked_and_the_audit_log_says_so(server: str, make_key: MakeKey) -> None:
    with Client(server, make_key("admin")) as admin:
        made = admin.keys.create({"name": "pets", "scope": "operator", "project": "pets"})
        with Client(server, made.key) as pets:
            assert pets.service.me().projects == ["pets"]
            assert made.id in {key.id for key in admin.keys.list()}
            assert admin.keys.revoke(made.id).revoked_at is not None
            with pytest.raises(Unauthorized):
                pets.service.me()
        assert [entry.path for entry in admin.audit.list(limit=2)] == [f"/keys/{made.id}", "/keys"]
        assert admin.service.link("/ui/queue").path.startswith("/ui/enter?")


class TestAsOftenAsAllowed:
    """An API that accepts a few requests per second from each caller."""

    @pytest.fixture
    def secured_settings(self, settings: Settings) -> Settings:
        return changed_anew(
            settings, access__authentication=True, access__requests_per_second=0.01, access__request_burst=2
        )

    def test_asking_too_often_says_when_to_come_back(self, server: str, make_key: MakeKey) -> None:
        with Client(server, make_key("viewer")) as client, pytest.raises(TooManyRequests) as refused:
            [client.service.me() for _ in range(4)]
        assert refused.value.retry_after_seconds is not None
        assert refused.value.retry_after_seconds > 30
