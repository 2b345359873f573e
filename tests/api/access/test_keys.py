"""API keys over REST are shown once, stored hashed, refused when expired or revoked, and limited to a project."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.settings import Settings
from service.store.schema.caller_tables import ApiKeyRow
from tests.api.access.conftest import AsKey


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_shown_once_and_stored_as_a_hash(
    as_key: AsKey, anonymous: TestClient, secured_settings: Settings
) -> None:
    admin = as_key("admin")
    made = admin.post("/keys", json={"name": "nightly", "scope": "viewer", "project": None})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    key = made.json()["key"]
    secret = key.split("_", 2)[2]
    assert len(secret) == 43  # 256 bits
    assert anonymous.get("/me", headers=bearer(key)).json()["subject"] == made.json()["id"]
    assert secret not in admin.get("/keys").text
    file = secured_settings.database_url.removeprefix("sqlite:///")
    dump = "\n".join(sqlite3.connect(file).iterdump())
    assert made.json()["id"] in dump
    assert secret not in dump


@pytest.mark.attack
def test_a_revoked_key_is_refused_at_once_and_stays_on_the_list(as_key: AsKey, anonymous: TestClient) -> None:
    admin = as_key("admin")
    made = admin.post("/keys", json={"name": "k", "scope": "viewer", "project": None}).json()
    revoked = admin.delete(f"/keys/{made['id']}")
    assert revoked.status_code == 200
    assert anonymous.get("/runs", headers=bearer(made["key"])).status_code == 401
    assert admin.delete(f"/keys/{made['id']}").json() == revoked.json()
    assert made["id"] in [key["id"] for key in admin.get("/keys").json()["items"]]
    assert admin.delete("/keys/key-000000000000").status_code == 404


@pytest.mark.attack
def test_an_expired_key_is_refused(secured: FastAPI, as_key: AsKey, anonymous: TestClient) -> None:
    admin = as_key("admin")
    body = {"name": "k", "scope": "viewer", "project": None, "expires_at": "2999-01-01T00:00:00Z"}
    made = admin.post("/keys", json=body).json()
    with secured.state.services.database.write() as session:
        session.get(ApiKeyRow, made["id"]).expires_at = 1.0
    assert anonymous.get("/runs", headers=bearer(made["key"])).status_code == 401
    past = admin.post("/keys", json={**body, "expires_at": "2001-01-01T00:00:00Z"})
    assert past.status_code == 422
    assert past.json()["errors"][0]["field"] == "expires_at"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"scope": "root"}, "scope"), ({"project": "No Such"}, "project"), ({"expires_at": "2999-01-01"}, "expires_at")],
)
def test_what_cannot_be_a_key_names_its_field(as_key: AsKey, changes: dict[str, Any], field: str) -> None:
    answer = as_key("admin").post("/keys", json={"name": "k", "scope": "viewer", "project": None, **changes})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_the_same_request_does_not_show_a_key_again(as_key: AsKey) -> None:
    admin = as_key("admin")
    body = {"name": "k", "scope": "viewer", "project": None}
    first = admin.post("/keys", json=body, headers={"Idempotency-Key": "once"})
    again = admin.post("/keys", json=body, headers={"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (201, 409)
    assert first.json()["id"] in again.json()["detail"]


@pytest.mark.attack
def test_an_admin_of_a_project_makes_sees_and_revokes_keys_of_it_only(as_key: AsKey) -> None:
    everywhere, admin = as_key("admin"), as_key("admin", "pets")
    other = everywhere.post("/keys", json={"name": "k", "scope": "viewer", "project": "cars"}).json()
    assert admin.post("/keys", json={"name": "k", "scope": "admin", "project": "cars"}).status_code == 403
    assert admin.post("/keys", json={"name": "k", "scope": "viewer", "project": None}).status_code == 403
    assert admin.post("/keys", json={"name": "k", "scope": "admin", "project": "pets"}).status_code == 201
    assert {key["project"] for key in admin.get("/keys").json()["items"]} == {"pets"}
    assert admin.delete(f"/keys/{other['id']}").status_code == 404


@pytest.mark.attack
def test_a_key_of_one_project_sees_and_changes_nothing_of_another(
    as_key: AsKey, write_images: Callable[..., Path], run_body: Callable[[TestClient], dict[str, Any]]
) -> None:
    pets, cars = as_key("operator", "pets"), as_key("operator", "cars")
    body = run_body(pets)
    run = pets.post("/runs", json=body).json()
    assert run["project"] == "pets"
    run_id, dataset_id = run["id"], body["datasets"]["labeled"]

    for path in ("/runs", "/datasets", "/models", "/searches"):
        assert cars.get(path).json()["items"] == [], path
    assert len(pets.get("/datasets").json()["items"]) == 4
    train = f"/runs/{run_id}/generations/0/stages/train"
    for path in (
        f"/runs/{run_id}",
        f"/runs/{run_id}/events",
        f"/runs/{run_id}/stages",
        f"/runs/{run_id}/generations",
        f"/runs/{run_id}/generations/0",
        f"/runs/{run_id}/ablations",
        train,
        f"{train}/attempts",
        f"{train}/metrics",
        f"{train}/logs",
        f"/models?run_id={run_id}",
        f"/datasets/{dataset_id}",
    ):
        assert pets.get(path).status_code in (200, 404), path
        assert cars.get(path).status_code == 404, path
    for path in (f"/runs/{run_id}/cancel", f"/runs/{run_id}/retry"):
        assert cars.post(path).status_code == 404, path
    assert cars.post(f"/runs/{run_id}/generations", json={}).status_code == 404
    assert cars.post("/searches", json={"run_id": run_id, "generation": 0}).status_code == 404
    stolen = cars.post("/runs", json=body)
    assert stolen.status_code == 422
    assert "there is no dataset" in stolen.json()["detail"]
    assert pets.get(f"/runs/{run_id}").json()["state"] == "running"
    assert pets.post("/runs", json={**body, "project": "cars"}).status_code == 403
    plan = pets.post("/plans", json={"run": body}).json()
    assert pets.get(f"/plans/{plan['id']}").status_code == 200
    assert cars.get(f"/plans/{plan['id']}").status_code == 404
    assert cars.get("/plans").json()["items"] == []
    assert pets.post("/plans", json={"run": {**body, "project": "cars"}}).status_code == 403


@pytest.mark.attack
def test_an_idempotency_key_of_another_project_is_no_way_to_its_answer(
    as_key: AsKey, run_body: Callable[[TestClient], dict[str, Any]]
) -> None:
    pets, cars = as_key("operator", "pets"), as_key("operator", "cars")
    run_id = pets.post("/runs", json=run_body(pets)).json()["id"]
    headers = {"Idempotency-Key": "k"}
    assert pets.post(f"/runs/{run_id}/cancel", headers=headers).status_code == 202
    assert cars.post(f"/runs/{run_id}/cancel", headers=headers).status_code == 404
