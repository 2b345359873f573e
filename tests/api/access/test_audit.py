"""The audit log: who changed what, when, from where, and how it ended."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.exc import DBAPIError

from service.access.audit import AuditedRequest, AuditLog
from service.errors import DatabaseUnavailable
from service.settings import Settings
from service.store.database import Database
from tests.api.access.conftest import AsKey
from tests.support.fake_clock import FakeClock


def test_every_change_is_recorded_with_its_outcome_and_reading_is_not(as_key: AsKey) -> None:
    admin, viewer = as_key("admin"), as_key("viewer", "pets")
    made = admin.post("/keys", json={"name": "k", "scope": "viewer", "project": None}, headers={"X-Request-ID": "r-1"})
    assert made.headers["X-Request-ID"] == "r-1"
    admin.post("/runs", json={})
    viewer.post("/runs/run-1/cancel")
    admin.get("/runs")
    newest, before, first = admin.get("/audit").json()["items"]
    assert (first["method"], first["path"], first["status"]) == ("POST", "/keys", 201)
    assert first["location"] == f"/keys/{made.json()['id']}"
    assert (first["request_id"], first["kind"], first["address"]) == ("r-1", "key", "testclient")
    assert first["subject"] == admin.get("/me").json()["subject"]
    assert (before["path"], before["status"]) == ("/runs", 422)
    assert (newest["path"], newest["status"], newest["project"]) == ("/runs/run-1/cancel", 403, "pets")


@pytest.mark.attack
def test_changes_by_callers_of_all_projects_are_shown_to_the_projects_admin(
    as_key: AsKey, run_body: Callable[..., dict[str, Any]]
) -> None:
    admin, pets, cars = as_key("admin"), as_key("admin", "pets"), as_key("admin", "cars")
    run = admin.post("/runs", json={**run_body(admin), "project": "pets"}).json()["id"]
    admin.post(f"/runs/{run}/cancel")
    admin.put("/projects/pets/quota", json={"device_hours": 1})
    admin.post("/keys", json={"name": "k", "scope": "viewer", "project": "pets"})
    seen = pets.get("/audit").json()["items"]
    assert [entry["path"] for entry in seen] == ["/keys", "/projects/pets/quota", f"/runs/{run}/cancel", "/runs"]
    assert {entry["target_project"] for entry in seen} == {"pets"}
    assert cars.get("/audit").json()["items"] == []


@pytest.mark.attack
def test_a_guessed_id_does_not_tell_whose_it_is(as_key: AsKey, run_body: Callable[..., dict[str, Any]]) -> None:
    pets, cars = as_key("admin", "pets"), as_key("admin", "cars")
    run = pets.post("/runs", json=run_body(pets)).json()["id"]
    assert cars.post(f"/runs/{run}/cancel").status_code == 404
    [theirs] = cars.get("/audit").json()["items"]
    assert (theirs["project"], theirs["target_project"]) == ("cars", None)
    seen = pets.get("/audit").json()["items"][0]
    assert (seen["path"], seen["project"], seen["target_project"]) == (f"/runs/{run}/cancel", None, "pets")


@pytest.mark.attack
def test_an_address_that_a_proxy_lets_through_is_bounded_and_plain(
    secured: FastAPI, make_key: Callable[..., str]
) -> None:
    headers = {"Authorization": f"Bearer {make_key()}"}
    with TestClient(secured, client=("\x1b[2J" + "9" * 7_000, 1), headers=headers) as client:
        client.post("/runs/run-1/cancel")
        address = client.get("/audit").json()["items"][0]["address"]
    assert address.startswith("\\x1b[2J999")
    assert len(address) < 110


@pytest.mark.attack
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_old_entries_go_and_refused_ones_sooner(
    settings: Settings, database: str, request: pytest.FixtureRequest
) -> None:
    url = settings.database_url
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url").format(name="migrated")
    store, now = Database(url), time.time()
    for age_days, status in ((400, 200), (100, 200), (100, 403), (10, 403), (8, None), (0, 201)):
        log = AuditLog(store, FakeClock(now - age_days * 86_400))
        entry = log.begin(AuditedRequest("s", "key", None, "a", "r", "POST", f"/{age_days}/{status}"))
        if status is not None:
            log.finish(entry, status)
    log = AuditLog(store)
    assert (log.forget(kept_days=365, refused_kept_days=30), log.forget(365, 30)) == (2, 0)
    left = [entry.path for entry in log.list_entries().items]
    assert left == ["/0/201", "/8/None", "/10/403", "/100/200"]
    with pytest.raises(DBAPIError):
        log.forget(kept_days=0, refused_kept_days=0)
    assert [entry.path for entry in log.list_entries().items] == left
    store.close()


@pytest.mark.attack
def test_a_path_with_a_nul_is_nothing_and_leaves_nothing(as_key: AsKey) -> None:
    admin = as_key("admin")
    for path in ("/nowhere%00", "/runs/a%00b/cancel"):
        assert admin.post(path).status_code == 404
    assert admin.get("/audit").json()["items"] == []


def test_the_log_comes_in_pages_and_by_project(as_key: AsKey) -> None:
    admin, pets = as_key("admin"), as_key("admin", "pets")
    for client in (admin, pets, admin, pets, pets):
        client.post("/runs/run-1/cancel")
    page = admin.get("/audit?limit=2").json()
    assert len(page["items"]) == 2
    rest = admin.get(f"/audit?limit=10&cursor={page['next_cursor']}").json()
    assert len(rest["items"]) == 3
    assert rest["next_cursor"] is None
    assert {entry["project"] for entry in pets.get("/audit").json()["items"]} == {"pets"}
    assert len(pets.get("/audit").json()["items"]) == 3


def test_a_change_that_blows_up_is_recorded_as_500(as_key: AsKey, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = as_key("admin")
    monkeypatch.setattr("service.runs.commands.RunCommands.cancel_run", _fail)
    assert admin.post("/runs/run-1/cancel").status_code == 500
    assert admin.get("/audit").json()["items"][0]["status"] == 500


@pytest.mark.attack
def test_without_a_record_nothing_is_changed(as_key: AsKey, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = as_key("admin")
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "begin", _fail)
        assert admin.post("/keys", json={"name": "k", "scope": "viewer", "project": None}).status_code == 500
    assert "k" not in [key["name"] for key in admin.get("/keys").json()["items"]]


def test_a_change_that_is_made_is_answered_even_where_its_status_cannot_be_recorded(
    as_key: AsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = as_key("admin")
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "finish", _away)
        made = admin.post("/keys", json={"name": "k", "scope": "viewer", "project": None})
    assert made.status_code == 201
    entry = admin.get("/audit").json()["items"][0]
    assert (entry["path"], entry["status"]) == ("/keys", None)


@pytest.mark.attack
@pytest.mark.parametrize(
    "forgery", ["delete from audit", "update audit set subject = 'x'", "update audit set status = 200"]
)
def test_the_database_refuses_to_change_the_log(
    secured: FastAPI, as_key: AsKey, secured_settings: Settings, forgery: str
) -> None:
    as_key("admin").post("/runs/run-1/cancel")
    database = sqlite3.connect(secured_settings.database_url.removeprefix("sqlite:///"))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(forgery)
    database.close()


def test_on_a_laptop_changes_are_recorded_too(client: TestClient) -> None:
    client.post("/runs", json={})
    [entry] = client.get("/audit").json()["items"]
    assert (entry["subject"], entry["path"], entry["status"]) == ("local", "/runs", 422)


def _away(*_: object, **__: object) -> None:
    raise DatabaseUnavailable("away")


def _fail(*_: object, **__: object) -> None:
    raise OSError("broken")
