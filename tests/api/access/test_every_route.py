"""Access is denied by default: every route of the application, known or not, requires a credential and a scope."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount

from api.access.route_scopes import OPEN, ROUTE_SCOPES
from service.access.stream_places import StreamPlaces
from service.config.access import Scope

VALUES = {"generation": "0", "stage": "train", "attempt": "1", "name": "a.svg", "file:path": "page.js", "path": "nodes"}


def every_route(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yields the method and path of everything that the router serves: REST, pages, documents, static files."""
    for route in app.router.routes:
        parts = route.effective_route_contexts() if hasattr(route, "effective_route_contexts") else [route]
        for part in parts:
            if isinstance(part, Mount):
                yield "GET", f"{part.path}/{{file:path}}"
                continue
            for method in set(part.methods or ()) - {"HEAD"}:
                yield method, part.path


def address(path: str) -> str:
    """The path with a value for each of its parameters."""
    for name, value in VALUES.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    path = path.replace("{event_id}", "1")
    return re.sub(r"\{[a-z]+_id\}", "x-1", path)


def test_every_route_declares_its_scope(secured: FastAPI) -> None:
    routes = set(every_route(secured))
    assert len(routes) > 40
    assert routes - set(ROUTE_SCOPES) - OPEN == set()
    assert (set(ROUTE_SCOPES) | OPEN) - routes == set(), "these are declared, and gone"


@pytest.mark.attack
def test_without_a_credential_every_route_is_401_but_those_that_are_open(
    secured: FastAPI, anonymous: TestClient
) -> None:
    for method, path in every_route(secured):
        answer = anonymous.request(method, address(path))
        if (method, path) == ("GET", "/healthz"):
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, f"{method} {path}"
        assert answer.headers["WWW-Authenticate"] == "Bearer", f"{method} {path}"


@pytest.mark.attack
@pytest.mark.parametrize("credential", ["Bearer nsk_000000000000_" + "A" * 43, "Bearer x.y.z", "Basic YTpi", "Bearer"])
def test_a_bad_credential_is_401_everywhere(secured: FastAPI, anonymous: TestClient, credential: str) -> None:
    for method, path in every_route(secured):
        if (method, path) not in OPEN:
            answer = anonymous.request(method, address(path), headers={"Authorization": credential})
            assert answer.status_code == 401, f"{method} {path}"


@pytest.mark.attack
def test_too_small_a_scope_is_403_on_every_route(secured: FastAPI, as_key: Callable[..., TestClient]) -> None:
    clients = {Scope.OPERATOR: as_key("viewer"), Scope.ADMIN: as_key("operator")}
    for (method, path), scope in ROUTE_SCOPES.items():
        if scope in clients:
            answer = clients[scope].request(method, address(path))
            assert answer.status_code == 403, f"{method} {path}"
            assert f"needs the scope {scope}" in answer.json()["detail"]


def test_large_enough_a_scope_is_let_in_on_every_route(
    secured: FastAPI, as_key: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamPlaces, "take", lambda *_: False)  # streams are endless, so let them answer 503
    clients = {scope: as_key(scope) for scope in Scope}
    for (method, path), scope in ROUTE_SCOPES.items():
        answer = clients[scope].request(method, address(path))
        assert answer.status_code not in (401, 403), f"{method} {path}: {answer.text}"


@pytest.mark.attack
def test_a_new_route_that_nobody_declared_is_refused_to_admins_too(
    secured: FastAPI, as_key: Callable[..., TestClient], anonymous: TestClient
) -> None:
    reached: list[str] = []
    secured.add_api_route("/undeclared", lambda: reached.append("GET"))
    secured.add_api_route("/runs", lambda: reached.append("PUT"), methods=["PUT"])
    try:
        admin = as_key("admin")
        assert anonymous.get("/undeclared").status_code == 401
        assert admin.get("/undeclared").status_code == 404
        refused = admin.put("/runs")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, POST")
        assert reached == []
        assert {("GET", "/undeclared"), ("PUT", "/runs")} <= set(every_route(secured)) - set(ROUTE_SCOPES)
    finally:
        del secured.router.routes[-2:]


def test_openapi_says_the_scope_and_the_refusals_of_each_operation(secured: FastAPI) -> None:
    document: dict[str, Any] = secured.openapi()
    assert document["paths"]["/healthz"]["get"]["security"] == []
    start = document["paths"]["/runs"]["post"]
    assert (start["security"], start["x-scope"]) == ([{"bearer": []}], "operator")
    assert {"401", "403", "413", "429"} <= set(start["responses"])
