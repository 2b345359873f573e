"""Callers cannot reach what is not theirs: others' ids, larger scopes, requests within requests."""

import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from api.access.route_scopes import ROUTE_SCOPES
from tests.api.access.conftest import AsKey, MakeKey, RunBody

pytestmark = pytest.mark.attack

_ID = re.compile(r"\{(run|dataset|model|search|ablation|plan|prediction|key)_id\}|\{name\}")
_WITH_IDS = sorted(route for route in ROUTE_SCOPES if _ID.search(route[1]))
_FILLED = {"{generation}": "0", "{stage}": "train", "{attempt}": "1", "{name}": "reliability.svg"}


@pytest.fixture
def theirs(as_key: AsKey, run_body: RunBody) -> dict[str, str]:
    """The ids of objects that belong to the project pets."""
    pets = as_key("admin", "pets")
    body = run_body(pets)
    run = pets.post("/runs", json=body).json()["id"]
    plan = pets.post("/plans", json={"run": body}).json()["id"]
    search = pets.post("/searches", json={"run_id": run, "generation": 0}).json()["id"]
    key = pets.post("/keys", json={"name": "k", "scope": "viewer", "project": "pets"}).json()["id"]
    dataset = body["datasets"]["labeled"]
    return {"run": run, "plan": plan, "search": search, "key": key, "dataset": dataset, "model": f"{run}-g0"}


def foreign(path: str, theirs: dict[str, str]) -> Iterator[str]:
    """The path with one of their ids in place of each parameter."""
    if path.startswith("/projects/"):
        yield path.replace("{name}", "pets")
        return
    for each in theirs.values():
        filled = re.sub(r"\{[a-z]+_id\}", each, path)
        for name, value in _FILLED.items():
            filled = filled.replace(name, value)
        yield filled


def test_ids_of_another_project_are_unknown_on_every_route(as_key: AsKey, theirs: dict[str, str]) -> None:
    cars, pets, tried = as_key("admin", "cars"), as_key("admin", "pets"), 0
    for method, path in _WITH_IDS:
        if path.endswith("/stream") or path.startswith("/ui/"):
            continue  # the endless one is tested below; the page contains only a script
        for address in foreign(path, theirs):
            body = {"device_hours": 1} if path.endswith("/quota") else {"priority": 1} if method == "PATCH" else {}
            answer = cars.request(method, address, json=None if method == "GET" else body)
            assert answer.status_code in (403, 404, 422), f"{method} {address}: {answer.status_code} {answer.text}"
            if not address.startswith("/projects/"):
                assert "pets" not in answer.text, f"{method} {address}: {answer.text}"
            tried += 1
    assert tried > 150
    for each in ("run", "plan", "search"):
        assert cars.get(f"/runs/{theirs[each]}/events/stream").status_code == 404
        assert pets.get(f"/runs/{theirs[each]}").json()["state"] == "running"
    assert pets.get("/keys").json()["items"][0]["revoked_at"] is None


def test_ids_of_another_project_in_a_body_are_unknown(as_key: AsKey, theirs: dict[str, str], run_body: RunBody) -> None:
    cars = as_key("admin", "cars")
    own = run_body(cars)
    for part in own["datasets"]:
        answer = cars.post("/runs", json={**own, "datasets": {**own["datasets"], part: theirs["dataset"]}})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"datasets.{part}")
        assert "there is no dataset" in answer.text
    for wrong in (
        {"evaluation": {"reference": theirs["model"], "robustness": {}}},
        {"evaluation": {"external": [{"name": "x", "dataset": theirs["dataset"]}]}},
    ):
        assert cars.post("/runs", json={**own, **wrong}).status_code == 422
    for run in (theirs["run"], theirs["search"], theirs["plan"]):
        assert cars.post("/searches", json={"run_id": run, "generation": 0}).status_code == 404
        assert cars.post(f"/runs/{run}/ablations", json={}).status_code == 404
    assert cars.get(f"/models?run_id={theirs['run']}").status_code == 404
    assert cars.get(f"/retention/plan?run_id={theirs['run']}").status_code in (403, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "//keys"),
        ("GET", "/keys/"),
        ("GET", "/KEYS"),
        ("GET", "/./keys"),
        ("GET", "/runs/../keys"),
        ("GET", "/runs/%2e%2e/keys"),
        ("GET", "/%6beys"),
        ("GET", "/keys;a=b"),
        ("GET", "/keys%00"),
        ("GET", "/keys%20"),
        ("GET", "/ui/static/../../keys"),
        ("GET", "/ui/static/..%2f..%2f..%2fsettings.py"),
        ("GET", "/ui/swagger/..%2f..%2f__init__.py"),
        ("GET", "/ray/../keys"),
        ("HEAD", "/keys"),
        ("HEAD", "/audit"),
        ("get", "/keys"),
        ("TRACE", "/keys"),
        ("CONNECT", "/keys"),
        ("PROPFIND", "/keys"),
    ],
)
def test_no_spelling_of_a_path_is_a_way_round_its_scope(as_key: AsKey, method: str, path: str) -> None:
    viewer = as_key("viewer")
    answer = viewer.request(method, f"http://testserver{path}")
    assert answer.status_code in (307, 400, 403, 404, 405), f"{answer.status_code} {answer.text[:200]}"
    assert "nsk_" not in answer.text
    assert "items" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "GET"},
        {"X-Method-Override": "DELETE"},
        {"X-Original-URL": "/me"},
        {"X-Rewrite-URL": "/me"},
        {"X-Forwarded-User": "admin"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Cookie": "noisy_student_session=admin"},
    ],
    ids=str,
)
def test_no_header_makes_a_viewer_more(as_key: AsKey, headers: dict[str, str]) -> None:
    viewer = as_key("viewer")
    body = {"name": "k", "scope": "admin", "project": None}
    assert viewer.post("/keys", json=body, headers=headers).status_code == 403
    assert viewer.get("/audit", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "root"},
        {"scope": ["admin"]},
        {"project": "*"},
        {"project": ""},
        {"project": ["pets", "cars"]},
        {"project": "pets cars"},
        {"project": None},
        {"project": "cars"},
        {"projects": None},
        {"created_by": "local"},
        {"key": "nsk_000000000000_" + "A" * 43},
        {"id": "key-000000000000"},
        {"expires_at": "0001-01-01T00:00:00Z"},
        {"expires_at": 9e99},
    ],
    ids=str,
)
def test_an_admin_of_a_project_makes_no_key_that_reaches_further(as_key: AsKey, changes: dict[str, Any]) -> None:
    answer = as_key("admin", "pets").post("/keys", json={"name": "k", "scope": "viewer", "project": "pets", **changes})
    assert answer.status_code in (403, 422), answer.text


SMUGGLED = b"GET /keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer stolen\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n",
        b"Content-Length: 0, 4\r\n\r\n",
        b"Content-Length: +4\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 0x4\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
        b" Content-Length: 4\r\n\r\n",
        b"Content-Length\x00: 4\r\n\r\n",
        b"X: a\nContent-Length: 4\r\n\r\n",
        b"X: \x00\r\n\r\n",
        b"Host: other\r\n\r\n",
    ],
    ids=lambda head: head[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_no_request_hides_in_another(server: str, make_key: MakeKey, head: bytes) -> None:
    """A proxy may read the length differently, so an ambiguous request is refused and the connection closed."""
    address = urlsplit(server)
    key = make_key("viewer").encode()
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        request = (
            b"POST /runs/run-1/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + key + b"\r\n" + head
        )
        connection.sendall(request + SMUGGLED)
        connection.shutdown(socket.SHUT_WR)
        answers = b""
        while chunk := connection.recv(65536):
            answers += chunk
    statuses = [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3})", answers, re.MULTILINE)]
    # Either the bytes are ignored, or each request is checked by itself, and none with the other's key.
    assert all(status in (400, 401, 403, 413) for status in statuses), answers[:500]
    assert b'"items"' not in answers


@pytest.fixture
def app(secured: FastAPI) -> FastAPI:
    """The application that `server` serves."""
    return secured
