"""The client has everything that the REST API has, according to the OpenAPI document."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from typing import Any

import pytest
from fastapi.testclient import TestClient

from noisy_student.client import PARTS
from noisy_student.operations import Operation

_PAGING = {"limit", "cursor"}
OF_THE_PAGES = [("POST", "/ui/links")]
"""Routes of the web pages that the command line calls, which the document does not contain."""


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def _routes(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): route
        for path, methods in document["paths"].items()
        for method, route in methods.items()
    }


def _methods() -> Iterator[tuple[str, Any, Operation[Any]]]:
    """Yields each method of the client with its operation."""
    for part, place in PARTS.items():
        module, kind = place.split(".")
        resource = getattr(import_module(f"noisy_student.resources.{module}"), kind)
        for name, method in vars(resource).items():
            if getattr(method, "operation", None) is not None:
                yield f"{part}.{name}", method, method.operation


METHODS = list(_methods())
DOCUMENTED = [each for each in METHODS if (each[2].method, each[2].path) not in OF_THE_PAGES]


def test_every_route_is_a_method_of_the_client_and_none_is_two(document: dict[str, Any]) -> None:
    operations = [(operation.method, operation.path) for _, _, operation in METHODS]
    assert sorted(operations) == sorted([*_routes(document), *OF_THE_PAGES])


@pytest.mark.parametrize(("name", "method", "operation"), DOCUMENTED, ids=[name for name, _, _ in DOCUMENTED])
def test_a_method_takes_and_gives_what_the_document_says(
    name: str, method: Any, operation: Operation[Any], document: dict[str, Any]
) -> None:
    route = _routes(document)[operation.method, operation.path]
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    assert _name_of(body) == (operation.body.__name__ if operation.body else None)
    parameters = {(each["in"], each["name"]) for each in route.get("parameters", [])}
    assert (("header", "Idempotency-Key") in parameters) == operation.once
    taken = set(
        inspect.signature(method._arguments if hasattr(method, "_arguments") else method._documented).parameters
    )
    named = {f"{each}_name" if iskeyword(each) else each for kind, each in parameters if kind in ("path", "query")}
    assert named - _PAGING <= taken
    assert ("idempotency_key" in taken) == operation.once


@pytest.mark.parametrize(("name", "method", "operation"), DOCUMENTED, ids=[name for name, _, _ in DOCUMENTED])
def test_a_method_answers_the_documents_model(
    name: str, method: Any, operation: Operation[Any], document: dict[str, Any]
) -> None:
    responses = _routes(document)[operation.method, operation.path]["responses"]
    content = next(response for status, response in responses.items() if status.startswith("2")).get("content", {})
    documented = _name_of(content.get("application/json", {}).get("schema", {}).get("$ref"))
    if documented is None:  # a picture, a stream of events, no content
        assert operation.answer in (bytes, type(None)) or "text/event-stream" in content
        return
    # A page is `Page_RunView_` in the document, and the client's own models extend the service's.
    names = {kind.__name__.replace("[", "_").replace("]", "_") for kind in operation.answer.__mro__}
    assert documented in names


@pytest.mark.parametrize(("name", "method", "operation"), METHODS, ids=[name for name, _, _ in METHODS])
def test_a_method_says_what_it_does(name: str, method: Any, operation: Operation[Any]) -> None:
    assert len(method.__doc__ or "") > 10


def _name_of(reference: str | None) -> str | None:
    return None if reference is None else reference.rpartition("/")[2]
