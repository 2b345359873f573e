"""The OpenAPI document is complete: every operation has a description, an example, and its errors."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from api.examples.lifecycle import WEBHOOK_REQUESTS
from api.examples.plans import PLAN_REQUESTS
from api.examples.queue import QUOTAS, RUN_CHANGES
from api.examples.requests import DATASET_REQUESTS, GENERATION_OVERRIDES, RUN_CONFIGS
from api.examples.studies import ABLATION_REQUESTS, SEARCH_REQUESTS
from service.config.policies import Quota
from service.config.run import EstimateRequest, GenerationOverrides, RunChanges, RunConfig
from service.config.studies import AblationRequest, SearchRequest
from service.config.webhooks import WebhookRequest
from service.datasets.inspection import DatasetRequest

OF_SEVERAL_FORMATS = ("/predictions/{prediction_id}/download", "/labels/export", "/marks/export")
"""Routes whose answer has the format that the caller asks for."""
PROBLEM = "application/problem+json"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_summary_description_and_tag(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        assert operation.get("summary"), name
        assert len(operation.get("description", "")) > 20, name
        assert set(operation.get("tags", [])) <= {tag["name"] for tag in document["tags"]}, name
        assert operation.get("tags"), name


def test_every_answer_has_an_example_and_a_schema(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        for status, answer in operation["responses"].items():
            if status == "204":
                continue
            assert len(answer["content"]) == 1 or name.endswith(OF_SEVERAL_FORMATS), name
            for content in answer["content"].values():
                assert "example" in content, f"{name} {status}"
                if int(status) < 400:
                    assert content["schema"], f"{name} {status}"


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        problems = {status for status, answer in operation["responses"].items() if PROBLEM in answer.get("content", {})}
        if operation["tags"] == ["health"]:
            continue
        parameters = operation.get("parameters", [])
        assert "422" in problems or not parameters, name
        if any(parameter["in"] == "path" for parameter in parameters):
            assert "404" in problems, name
        if "requestBody" in operation:
            assert {"400", "409", "413", "415"} <= problems, name
        if operation["security"]:
            assert {"401", "403", "429"} <= problems, name
        for status in problems:
            schema = operation["responses"][status]["content"][PROBLEM]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, f"{name} {status}"


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{name}: {parameter['name']}"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_request_bodies_are_the_strict_models_with_examples(document: dict[str, Any]) -> None:
    bodies = {name: operation["requestBody"] for name, operation in _operations(document) if "requestBody" in operation}
    models = {
        name: body["content"]["application/json"]["schema"]["$ref"].split("/")[-1] for name, body in bodies.items()
    }
    assert models == {
        "POST /datasets": "DatasetRequest",
        "POST /datasets/look": "LookRequest",
        "POST /datasets/{dataset_id}/versions": "DatasetVersionRequest",
        "POST /runs": "RunConfig",
        "POST /runs/{run_id}/generations": "GenerationOverrides",
        "POST /plans": "EstimateRequest",
        "POST /predictions": "PredictionRequest",
        "POST /models": "RegistrationRequest",
        "POST /searches": "SearchRequest",
        "POST /runs/{run_id}/ablations": "AblationRequest",
        "PATCH /runs/{run_id}": "RunChanges",
        "PUT /runs/{run_id}/generations/{generation}/labels/{shard}/{row}/mark": "MarkRequest",
        "PUT /projects/{name}/quota": "Quota",
        "POST /keys": "KeyRequest",
        "POST /webhooks": "WebhookRequest",
    }
    assert all(body["content"]["application/json"]["examples"] for body in bodies.values())
    assert document["components"]["schemas"]["RunConfig"]["additionalProperties"] is False


def test_all_posts_that_create_take_an_idempotency_key(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        if name.startswith("POST") and "201" in operation["responses"]:
            assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}, name


@pytest.mark.parametrize(
    ("model", "example"),
    [
        *((DatasetRequest, example) for example in DATASET_REQUESTS),
        *((RunConfig, example) for example in RUN_CONFIGS),
        *((GenerationOverrides, example) for example in GENERATION_OVERRIDES),
        *((Quota, example) for example in QUOTAS),
        *((RunChanges, example) for example in RUN_CHANGES),
    ],
)
def test_request_examples_are_valid(model: Any, example: str) -> None:
    examples = DATASET_REQUESTS | RUN_CONFIGS | GENERATION_OVERRIDES | QUOTAS | RUN_CHANGES
    model.model_validate_json(json.dumps(examples[example]["value"]))


@pytest.mark.parametrize("example", SEARCH_REQUESTS)
def test_search_examples_are_valid(example: str) -> None:
    SearchRequest.model_validate_json(json.dumps(SEARCH_REQUESTS[example]["value"]))


@pytest.mark.parametrize("example", WEBHOOK_REQUESTS)
def test_webhook_examples_are_valid(example: str) -> None:
    WebhookRequest.model_validate_json(json.dumps(WEBHOOK_REQUESTS[example]["value"]))


@pytest.mark.parametrize("example", ABLATION_REQUESTS)
def test_ablation_examples_are_valid(example: str) -> None:
    AblationRequest.model_validate_json(json.dumps(ABLATION_REQUESTS[example]["value"]))


@pytest.mark.parametrize("example", PLAN_REQUESTS)
def test_plan_examples_are_valid(example: str) -> None:
    EstimateRequest.model_validate_json(json.dumps(PLAN_REQUESTS[example]["value"]))


@pytest.mark.attack
def test_nothing_that_a_caller_sends_is_without_bounds(document: dict[str, Any]) -> None:
    asked = [
        (f"{name} {parameter['in']} {parameter['name']}", parameter["schema"])
        for name, operation in _operations(document)
        for parameter in operation.get("parameters", [])
    ]
    for name, operation in _operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            asked.append((name, content["schema"]))
    unbounded = list(_unbounded(asked, document["components"]["schemas"]))
    assert unbounded == []
    assert len(asked) > 100


def test_what_is_without_bounds_is_found() -> None:
    components = {"Inner": {"type": "object", "properties": {"text": {"type": "string"}}}}
    schemas: list[tuple[str, dict[str, Any]]] = [
        ("list", {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}}),
        ("map", {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer", "minimum": 0}}),
        ("either", {"anyOf": [{"type": "null"}, {"type": "string", "enum": ["a"]}, {"type": "number", "maximum": 1}]}),
        ("fine", {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 5}}),
    ]
    found = set(_unbounded(schemas, components))
    assert found == {
        "list: maxItems",
        "list[].text: maxLength",
        "map{}: maximum",
        "map key: maxLength",
        "either: minimum",
    }


_BOUNDS: dict[str, list[tuple[str, ...]]] = {
    "string": [("maxLength", "enum", "const", "format")],
    "array": [("maxItems",)],
    "integer": [("minimum", "exclusiveMinimum", "enum", "const"), ("maximum", "exclusiveMaximum", "enum", "const")],
    "number": [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")],
}


def _unbounded(schemas: list[tuple[str, dict[str, Any]]], components: dict[str, Any]) -> Iterator[str]:
    """Yields each schema without a bound: its path and the missing keyword. Each component is examined once."""
    waiting, known = list(schemas), set()
    while waiting:
        where, schema = waiting.pop()
        if "$ref" in schema:
            name = schema["$ref"].split("/")[-1]
            if name not in known:
                known.add(name)
                waiting.append((where, components[name]))
            continue
        kind = schema.get("type")
        assert kind or schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "const"}, f"{where} may be anything"
        yield from (f"{where}: {any_of[0]}" for any_of in _BOUNDS.get(str(kind), []) if not schema.keys() & set(any_of))
        parts = [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word, [])]
        waiting.extend((where, part) for part in parts)
        waiting.extend((f"{where}.{name}", part) for name, part in schema.get("properties", {}).items())
        items = [schema["items"]] if "items" in schema else []
        waiting.extend((f"{where}[]", part) for part in [*items, *schema.get("prefixItems", [])])
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            waiting.append((f"{where}{{}}", values))
            if "maxProperties" not in schema:
                yield f"{where}: maxProperties"
            waiting.append((f"{where} key", {"type": "string", **schema.get("propertyNames", {})}))
