"""Bodies that no client would send are rejected at once with the field, whatever they contain."""

import json
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.schemas.json_body import MAX_ERRORS, MAX_VALUES
from service.config.run import MAX_CLASSES

pytestmark = pytest.mark.attack

JSON = {"Content-Type": "application/json"}
MANY = MAX_VALUES - 100
ROUTES = ("/runs", "/datasets", "/searches", "/plans", "/webhooks", "/keys", "/runs/run-1/generations")
LARGE = {
    "ones": b'{"student_models": [' + b"1, " * 1_300_000 + b"1]}",
    "external_sets": json.dumps({"evaluation": {"external": [1] * MANY}}).encode(),
    "unknown_keys": json.dumps({str(number): 1 for number in range(MANY)}).encode(),
    "classes": json.dumps({"classes": [1] * MANY, "kinds": [1] * MANY}).encode(),
    "many_classes": json.dumps({"classes": [1] * 90_000}).encode(),
    "empty_classes": json.dumps({"classes": [""] * 90_000}).encode(),
    "kinds": json.dumps({"kinds": ["x y"] * 90_000, "student_models": [""] * 90_000}).encode(),
    "class_map": json.dumps({"class_map": {str(number): 1 for number in range(MANY)}}).encode(),
    "arrays": b"[" * 4_000_000,
    "objects": b'{"a":' * 800_000,
    "closed_arrays": b"[" * 900 + b"]" * 900,
    "empty_arrays": b'{"a": [' + b"[]," * 1_300_000 + b"[]]}",
    "digits": b'{"generations": ' + b"9" * 10_000 + b"}",
    "fitting_digits": b'{"generations": ' + b"9" * 4_000 + b"}",
    "exponent": b'{"fault_tolerance": {"max_bad_fraction": 1e999999999}}',
    "fraction": b'{"fault_tolerance": {"max_bad_fraction": 0.' + b"1" * 3_900_000 + b"}}",
    "text": b'{"name": "' + b"x" * 4_000_000 + b'"}',
    "key": b'{"' + b"x" * 4_000_000 + b'": 1}',
    "escapes": b'{"name": "' + b"\\u0041" * 600_000 + b'"}',
    "pattern": b'{"settings": {"space": {"family": "' + b"?" * 4_000_000 + b'"}}}',
    "stars": b'{"settings": {"space": {"family": "' + b"*a" * 2_000_000 + b'"}}}',
    "invalid_utf8": b'{"name": "\xff\xfe"}',
    "utf16": '{"name": "x"}'.encode("utf-16"),
    "nothing": b"",
    "null": b"null",
    "number": b"7",
    "text_alone": b'"x"',
    "nan": b'{"fault_tolerance": {"max_bad_fraction": NaN}}',
    "infinity": b'{"fault_tolerance": {"max_bad_fraction": -Infinity}}',
    "same_keys": b"{" + b'"name": "a", ' * 300_000 + b'"name": "b"}',
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_or_strange_body_is_refused_shortly_and_soon(client: TestClient, name: str) -> None:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for route in ROUTES[:3]:
        began_at = time.process_time()
        answer = client.post(route, content=LARGE[name], headers=JSON)
        took = time.process_time() - began_at
        assert answer.status_code in (400, 413, 422), f"{answer.status_code} {answer.text[:300]}"
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert len(answer.json().get("errors", [])) <= MAX_ERRORS
        assert len(answer.content) < 60_000
        assert took < 5, took  # with a client that is counted too, on a machine that others slow down
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown < 500_000  # KiB


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\x9b", "\r", "\n", "\u2028", "\u202e", "\u2067"])
@pytest.mark.parametrize("route", ROUTES)
def test_text_that_cannot_be_stored_or_shown_is_refused_with_its_field(
    client: TestClient, route: str, character: str
) -> None:
    for body, field in (
        ({"name": f"a{character}b"}, "name"),
        ({"datasets": {"labeled": f"{character}"}}, "datasets.labeled"),
        ({"student_models": ["x", f"y{character}"]}, "student_models.1"),
        ({f"k{character}": 1}, ""),
        ({"evaluation": {f"k{character}": 1}}, "evaluation"),
    ):
        answer = client.post(route, json=body)
        assert answer.status_code == 422, answer.text
        [error] = answer.json()["errors"]
        assert (error["field"], f"U+{ord(character):04X}" in error["message"]) == (field, True)
        assert character not in answer.json()["detail"]


@pytest.mark.parametrize("route", ROUTES)
def test_half_a_character_is_refused_with_its_field(client: TestClient, route: str) -> None:
    for body, field in ((b'{"name": "\\ud83d"}', "name"), (b'{"\\udc00": 1}', "")):
        answer = client.post(route, content=body, headers=JSON)
        assert answer.status_code == 422, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("name", ["", " ", "\u3000", "  \u00a0 ", "x" * 121])
def test_a_name_that_shows_nothing_is_refused(client: TestClient, run_config: dict[str, Any], name: str) -> None:
    answer = client.post("/runs", json={**run_config, "name": name})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["name"]


@pytest.mark.parametrize("name", ["a b", " a", "猫と犬", "👩‍👩‍👧 photos", "[/x]", "é", "a" * 120])
def test_a_name_in_any_language_is_taken(client: TestClient, run_config: dict[str, Any], name: str) -> None:
    made = client.post("/runs", json={**run_config, "name": name})
    assert made.status_code == 201, made.text
    assert client.get(f"/runs/{made.json()['id']}").json()["name"] == name


def test_the_last_of_many_classes_is_still_looked_at(client: TestClient) -> None:
    body = {"name": "many", "role": "labeled", "uri": "/nowhere", "classes": [str(each) for each in range(MAX_CLASSES)]}
    answer = client.post("/datasets", json=body)
    assert answer.json()["errors"][0]["field"] == "uri", answer.text[:500]


def test_patterns_of_models_are_kept_by_nobody(client: TestClient, run_id: str, reconcile: Callable[[], None]) -> None:
    reconcile()
    for pattern in ("*" * 200, "*a" * 100, "[!a]" * 50, "[" * 200, "?" * 200, "test_re[r-t]net"):
        began_at = time.process_time()
        body = {"run_id": run_id, "generation": 0, "settings": {"space": {"family": pattern}}}
        answer = client.post("/searches", json=body)
        assert answer.status_code in (201, 422), answer.text
        assert time.process_time() - began_at < 2


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/runs/%ff%fe", {}),
        ("GET", "/runs/%ed%a0%80", {}),
        ("GET", "/runs/a%0ab", {}),
        ("GET", "/runs/" + "x" * 60_000, {}),
        ("GET", "/models?run_id=%1b[2J", {}),
        ("GET", "/runs?cursor=%00", {}),
        ("GET", "/runs?cursor=" + "A" * 60_000, {}),
        ("GET", "/runs?limit=" + "9" * 10_000, {}),
        ("GET", "/runs?limit=NaN", {}),
        ("GET", "/runs?limit=1&limit=2&limit=x", {}),
        ("GET", "/runs/run-1/generations/" + "9" * 5_000, {}),
        ("GET", "/runs/run-1/generations/-1", {}),
        ("GET", "/runs/run-1/generations/1/stages/%2e%2e/logs", {}),
        ("GET", "/runs/run-1/generations/1/stages/train/pictures/..%2f..%2fetc", {}),
        ("GET", "/projects/%1b", {}),
        ("GET", "/audit?cursor=W10=", {}),
        ("GET", "/events/stream?after=1e9", {}),
        ("POST", "/runs/run-1/cancel", {"Idempotency-Key": "\x1b[2J"}),
        ("POST", "/runs/run-1/cancel", {"Idempotency-Key": "é"}),
        ("POST", "/runs/run-1/cancel", {"Idempotency-Key": ""}),
        ("POST", "/runs/run-1/cancel", {"Idempotency-Key": "x" * 201}),
        ("GET", "/events/stream", {"Last-Event-ID": "9" * 5_000}),
    ],
)
def test_a_strange_path_query_or_header_is_refused_with_its_name(
    client: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    answer = client.request(method, path, headers=encoded)
    assert answer.status_code in (404, 422), f"{answer.status_code} {answer.text[:300]}"
    assert len(answer.content) < 10_000
    if answer.status_code == 422:
        assert all(error["field"] for error in answer.json()["errors"])


@pytest.mark.parametrize(
    "form", [b"a=1&" * 20, b"key=\xff", b"key=" + b"x" * 10_000, b"", b"next=/a%0d%0ab&key=x", b"key=%00&next=%1b"]
)
def test_a_strange_login_form_gets_the_form_again(client: TestClient, form: bytes) -> None:
    answer = client.post("/ui/login", content=form)
    assert answer.status_code == 401
    assert len(answer.content) < 10_000


def test_a_login_form_larger_than_any_key_is_refused(client: TestClient) -> None:
    assert client.post("/ui/login", content=b"key=" + b"x" * 1_000_000).status_code == 413
