"""The Idempotency-Key header: a repeated request is carried out once; another request with its key is a conflict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_the_same_run_with_the_same_key_is_created_once(client: TestClient, run_config: dict[str, Any]) -> None:
    first = client.post("/runs", json=run_config, headers=_key("monday run"))
    second = client.post("/runs", json=run_config, headers=_key("monday run"))
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Location"] == first.headers["Location"]
    assert len(client.get("/runs").json()["items"]) == 1


def test_the_same_run_without_a_key_is_created_twice(client: TestClient, run_config: dict[str, Any]) -> None:
    client.post("/runs", json=run_config)
    client.post("/runs", json=run_config)
    assert len(client.get("/runs").json()["items"]) == 2


def test_another_body_with_a_used_key_is_a_conflict(client: TestClient, run_config: dict[str, Any]) -> None:
    client.post("/runs", json=run_config, headers=_key("k"))
    assert client.post("/runs", json={**run_config, "seed": 1}, headers=_key("k")).status_code == 409


def test_another_kind_of_request_with_a_used_key_is_a_conflict(
    client: TestClient, run_config: dict[str, Any], write_images: Callable[..., Path]
) -> None:
    client.post("/runs", json=run_config, headers=_key("k"))
    body = {"name": "more", "role": "labeled", "uri": str(write_images("more", 900))}
    assert client.post("/datasets", json=body, headers=_key("k")).status_code == 409


def test_the_same_dataset_with_the_same_key_is_registered_once(
    client: TestClient, write_images: Callable[..., Path]
) -> None:
    body = {"name": "more", "role": "labeled", "uri": str(write_images("more", 900))}
    first = client.post("/datasets", json=body, headers=_key("k"))
    assert client.post("/datasets", json=body, headers=_key("k")).json() == first.json()
    assert len(client.get("/datasets").json()["items"]) == 1


def test_the_same_generation_with_the_same_key_is_added_once(client: TestClient, finished_run: str) -> None:
    first = client.post(f"/runs/{finished_run}/generations", json={}, headers=_key("k"))
    second = client.post(f"/runs/{finished_run}/generations", json={}, headers=_key("k"))
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Location"] == f"/runs/{finished_run}/generations/3"
    assert client.get(f"/runs/{finished_run}").json()["generations"] == 4


def test_a_retry_sent_twice_with_its_key_starts_the_run_once(
    client: TestClient, run_id: str, reconcile: Callable[[], None]
) -> None:
    client.post(f"/runs/{run_id}/cancel", headers=_key("stop"))
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "cancelled"
    assert client.post(f"/runs/{run_id}/cancel", headers=_key("stop")).status_code == 202
    answers = [client.post(f"/runs/{run_id}/retry", headers=_key("again")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    kinds = [event["kind"] for event in client.get(f"/runs/{run_id}/events").json()["items"]]
    assert kinds.count("run_retried") == kinds.count("run_cancelling") == 1


@pytest.mark.parametrize("key", ["", "k" * 201, "tab\tbed", "caf\u00e9"])
def test_an_impossible_key_is_refused_by_name(client: TestClient, key: str) -> None:
    answer = client.post("/runs", json={}, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert answer.status_code == 422
    assert "Idempotency-Key" in [error["field"] for error in answer.json()["errors"]]
