"""Every error is a problem document that names the field, whatever went wrong."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.runs.queries import RunQueries
from tests.support.application import StubRay

RUN = {
    "name": "a run",
    "datasets": {"labeled": "ds-1", "unlabeled": "ds-2", "validation": "ds-3", "test": "ds-4"},
    "teacher_model": "test_resnet",
    "student_models": ["test_resnet"],
}


def _problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "errors"}
    assert problem["status"] == status
    assert problem["detail"]
    return problem


def _fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


@pytest.mark.parametrize("path", ["/nothing/here", "/runs/run-0000000000", "/datasets/ds-0", "/models/m-1"])
def test_what_is_not_there_is_a_404_problem(client: TestClient, path: str) -> None:
    problem = _problem(client.get(path), 404)
    assert problem["instance"] == path
    assert path.rpartition("/")[2] in problem["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "generations/7",
        "generations/0/stages/label",
        "generations/0/stages/train/attempts/3",
        "generations/0/stages/train/logs",
        "generations/9/stages/train/metrics",
    ],
)
def test_missing_parts_of_a_run_are_404_problems(client: TestClient, run_id: str, path: str) -> None:
    _problem(client.get(f"/runs/{run_id}/{path}"), 404)


def test_wrong_method_is_a_405_problem_that_says_what_is_allowed(client: TestClient) -> None:
    answer = client.delete("/runs")
    assert _problem(answer, 405)["detail"] == "DELETE does not work on /runs"
    assert answer.headers["Allow"]


@pytest.mark.parametrize("body", ["{", "", "{'name': 1}", '{"name": "a" "b"}', "nothing"])
def test_malformed_json_is_a_400_problem(client: TestClient, body: str) -> None:
    answer = client.post("/runs", content=body, headers={"Content-Type": "application/json"})
    if not body:
        _problem(answer, 422)  # no body at all: required, and missing
        return
    assert _problem(answer, 400)["detail"].startswith("the body is not JSON")


def test_a_body_that_is_not_utf8_is_a_400_problem(client: TestClient) -> None:
    _problem(client.post("/runs", content=b"\xff\xfe{", headers={"Content-Type": "application/json"}), 400)


def test_another_content_type_is_a_415_problem(client: TestClient) -> None:
    answer = client.post("/runs", content=json.dumps(RUN), headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in _problem(answer, 415)["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"student_recipe": {"noise": {"dropout": 1.5}}}, "student_recipe.noise.dropout"),
        ({"student_recipe": {"noise": {"dropout": "0.5"}}}, "student_recipe.noise.dropout"),
        ({"student_recipe": {"noise": {"rand_augment": {"m": 31}}}}, "student_recipe.noise.rand_augment.m"),
        (
            {"student_recipe": {"noise": {"rand_augment": {"scale": "timm", "m": 11}}}},
            "student_recipe.noise.rand_augment.m",
        ),
        (
            {"student_recipe": {"noise": {"rand_augment": {"scale": "authors", "m": 101}}}},
            "student_recipe.noise.rand_augment.m",
        ),
        (
            {"student_recipe": {"noise": {"rand_augment": {"scale": "paper", "m": 9}}}},
            "student_recipe.noise.rand_augment.scale",
        ),
        ({"teacher_recipe": {"mean": [0.1, 0.2]}}, "teacher_recipe.mean.2"),
        ({"teacher_recipe": {"steps": 50, "schedule": {"warmup_steps": 50}}}, "teacher_recipe.schedule.warmup_steps"),
        ({"student_recipe": {"stepz": 50}}, "student_recipe.stepz"),
        ({"generations": 3, "student_models": ["test_resnet"] * 2}, "student_models"),
        ({"generations": 51}, "generations"),
        ({"generations": 1.0}, "generations"),
        ({"name": ""}, "name"),
        ({"seed": True}, "seed"),
        ({"datasets": {"labeled": "a", "validation": "b", "test": "c"}}, "datasets.unlabeled"),
        ({"datasets": {"labeled": "a", "unlabeled": "d", "validation": "b"}}, "datasets.test"),
        ({"selection": {"min_confidence": -0.1}}, "selection.min_confidence"),
        ({"selection": {"thresholds": "flexmatch", "share_per_class": 0.5}}, "selection.share_per_class"),
        ({"selection": {"thresholds": "freematch", "min_confidence": 1}}, "selection.min_confidence"),
        ({"fault_tolerance": {"max_bad_fraction": float("1e999")}}, None),
        ({"datasets": {"labeled": "a\0", "unlabeled": "d", "validation": "b", "test": "c"}}, None),
    ],
)
def test_an_invalid_body_names_the_dotted_field(client: TestClient, change: dict[str, Any], field: str | None) -> None:
    body = json.dumps({**RUN, **change})
    problem = _problem(client.post("/runs", content=body, headers={"Content-Type": "application/json"}), 422)
    if field is not None:
        assert _fields(problem) == [field]
        assert problem["detail"].startswith(f"{field}: ")
    assert "Value error" not in problem["detail"]


def test_all_invalid_fields_are_named_at_once(client: TestClient) -> None:
    problem = _problem(client.post("/runs", json={**RUN, "seed": -1, "color": "blue", "teacher_model": 3}), 422)
    assert sorted(_fields(problem)) == ["color", "seed", "teacher_model"]


def test_json_arrays_are_taken_where_the_model_has_tuples(client: TestClient) -> None:
    problem = _problem(client.post("/runs", json={**RUN, "student_recipe": {"mean": [0.1, 0.2, 0.3]}}), 422)
    assert _fields(problem) == ["datasets.labeled"]  # the body is fine; the dataset does not exist


@pytest.mark.parametrize("body", [[], "text", 3, None])
def test_a_body_that_is_no_object_is_refused_as_a_whole(client: TestClient, body: object) -> None:
    answer = client.post("/runs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert _fields(_problem(answer, 422)) == [""]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/runs/run-1/generations/x", "generation"),
        ("/runs/run-1/generations/-1", "generation"),
        ("/runs/run-1/generations/99999999999999999999", "generation"),
        ("/runs/run-1/generations/0/stages/nonsense", "stage"),
        ("/runs/run-1/generations/0/stages/train/attempts/0", "attempt"),
        ("/runs/run-1/generations/0/stages/train/logs?lines=0", "lines"),
        ("/runs/run-1/generations/0/stages/train/logs?attempt=a", "attempt"),
        ("/runs/a%20b", "run_id"),
        ("/models?run_id=a%00b", "run_id"),
        ("/retention/plan?run_id=a%00b", "run_id"),
    ],
)
def test_an_invalid_parameter_is_named(client: TestClient, path: str, field: str) -> None:
    assert _fields(_problem(client.get(path), 422)) == [field]


def test_an_unexpected_error_tells_nothing_of_the_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(RunQueries, "list_models", fail)
    answer = client.get("/models")
    assert _problem(answer, 500)["detail"] == "the service failed; its log says why"
    assert "hunter2" not in answer.text


def test_logs_without_ray_are_a_503_problem(client: TestClient, finished_run: str, ray: StubRay) -> None:
    ray.away = True
    problem = _problem(client.get(f"/runs/{finished_run}/generations/0/stages/train/logs"), 503)
    assert "does not answer" in problem["detail"]
