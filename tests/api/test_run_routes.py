"""POST /runs starts runs and rejects impossible ones. Cancel, retry, add a generation; what the GETs show."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.config.policies import FaultTolerance
from service.config.run import MOVED_FIELDS
from tests.support.application import Register, StubRay

Config = dict[str, Any]


def _refused(client: TestClient, config: Config, path: str = "/runs") -> dict[str, str]:
    answer = client.post(path, json=config)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert isinstance(error, dict)
    assert client.get("/runs").json()["items"] == [] or path != "/runs"
    return error


def test_creating_answers_201_with_location_and_the_whole_run(client: TestClient, run_config: Config) -> None:
    answer = client.post("/runs", json=run_config)
    assert answer.status_code == 201
    run = answer.json()
    assert answer.headers["Location"] == f"/runs/{run['id']}"
    assert run["state"] == "running"
    assert run["config"]["student_recipe"]["noise"]["drop_path"] == 0.1
    assert [len(generation["stages"]) for generation in run["generation_details"]] == [2, 4, 4]
    assert client.get(answer.headers["Location"]).json() == run


def test_an_unknown_model_is_refused(client: TestClient, run_config: Config) -> None:
    error = _refused(client, {**run_config, "teacher_model": "test_resnett"})
    assert error["field"] == "teacher_model"
    assert "no model 'test_resnett'; did you mean test_resnet" in error["message"]


def test_an_unknown_student_model_is_refused_by_its_place(client: TestClient, run_config: Config) -> None:
    error = _refused(client, {**run_config, "student_models": ["test_resnet", "os.system"]})
    assert error["field"] == "student_models.1"


def test_a_smaller_student_is_refused_unless_allowed(client: TestClient, run_config: Config) -> None:
    config = {**run_config, "teacher_model": "resnet18"}
    assert _refused(client, config)["field"] == "student_models.0"
    assert client.post("/runs", json={**config, "allow_smaller_student": True}).status_code == 201


def test_drop_path_on_a_model_without_it_is_refused(client: TestClient, run_config: Config) -> None:
    error = _refused(client, {**run_config, "student_models": ["vgg11"]})
    assert error["field"] == "student_recipe.noise.drop_path"
    assert "vgg11" in error["message"]


def test_other_classes_are_refused(client: TestClient, run_config: Config, register: Register) -> None:
    other = register("birds", "evaluation", 500, classes=("crow", "dog"))
    error = _refused(client, {**run_config, "datasets": {**run_config["datasets"], "test": other}})
    assert error["field"] == "datasets.test"
    assert "crow" in error["message"]


@pytest.mark.parametrize(("part", "color"), [("labeled", 3), ("unlabeled", 105), ("validation", 203)])
def test_a_test_set_that_shares_a_picture_is_refused(
    client: TestClient, run_config: Config, register: Register, part: str, color: int
) -> None:
    overlapping = register("overlapping", "evaluation", color)
    error = _refused(client, {**run_config, "datasets": {**run_config["datasets"], "test": overlapping}})
    assert error["field"] == "datasets.test"
    assert part in error["message"]
    assert re.search(rf"dataset \(overlapping\.parquet row 0 is {part}\.parquet row \d+\)", error["message"])


def test_a_dataset_of_another_role_is_refused(client: TestClient, run_config: Config) -> None:
    datasets = {**run_config["datasets"], "validation": run_config["datasets"]["labeled"]}
    error = _refused(client, {**run_config, "datasets": datasets})
    assert error["field"] == "datasets.validation"


def test_an_unknown_dataset_is_refused(client: TestClient, run_config: Config) -> None:
    error = _refused(client, {**run_config, "datasets": {**run_config["datasets"], "unlabeled": "ds-0000000000"}})
    assert error == {"field": "datasets.unlabeled", "message": "there is no dataset 'ds-0000000000'"}


def test_cancelling_a_run_stops_it(client: TestClient, run_id: str, reconcile: Callable[[], None]) -> None:
    answer = client.post(f"/runs/{run_id}/cancel")
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/runs/{run_id}"
    assert answer.json()["state"] == "cancelling"
    assert client.post(f"/runs/{run_id}/cancel").status_code == 202
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "cancelled"


def test_a_cancelled_run_can_be_retried_and_ends_well(
    client: TestClient, run_id: str, reconcile: Callable[[], None]
) -> None:
    client.post(f"/runs/{run_id}/cancel")
    reconcile()
    answer = client.post(f"/runs/{run_id}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "succeeded"


def test_a_finished_run_can_be_neither_cancelled_nor_retried(client: TestClient, finished_run: str) -> None:
    assert client.post(f"/runs/{finished_run}/cancel").status_code == 409
    assert client.post(f"/runs/{finished_run}/retry").status_code == 409


def test_a_failed_stage_shows_why_and_can_be_retried(
    client: TestClient, run_id: str, ray: StubRay, reconcile: Callable[[], None]
) -> None:
    ray.failing = {"label": "image_size 7 does not fit"}
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "failed"
    attempts = client.get(f"/runs/{run_id}/generations/1/stages/label/attempts").json()["items"]
    assert attempts[0]["failure_message"] == "image_size 7 does not fit"
    assert attempts[0]["dashboard_url"].endswith(f"/#/jobs/{run_id}-g1-label-a1")
    ray.failing = {}
    client.post(f"/runs/{run_id}/retry")
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "succeeded"


def test_one_more_generation_on_a_finished_run(
    client: TestClient, finished_run: str, reconcile: Callable[[], None]
) -> None:
    answer = client.post(
        f"/runs/{finished_run}/generations",
        json={"selection": {"min_confidence": 0.7}, "student_model": "resnet18"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/runs/{finished_run}/generations/3"
    generation = client.get(answer.headers["Location"]).json()
    assert generation["plan"]["model"] == "resnet18"
    assert generation["plan"]["selection"]["min_confidence"] == 0.7
    reconcile()
    assert client.get(answer.headers["Location"]).json()["model"]["test_top1"] == pytest.approx(0.975)


def test_a_generation_on_a_running_run_is_a_conflict(client: TestClient, run_id: str) -> None:
    assert client.post(f"/runs/{run_id}/generations", json={}).status_code == 409


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"student_model": "nothing_like_it"}, "student_model"),
        ({"student_model": "test_efficientnet"}, "student_model"),
        ({"recipe": {"noise": {"drop_path": 2}}}, "recipe.noise.drop_path"),
        ({"model": "resnet18"}, "model"),
    ],
)
def test_an_impossible_generation_is_refused(
    client: TestClient, finished_run: str, overrides: Config, field: str
) -> None:
    assert _refused(client, overrides, f"/runs/{finished_run}/generations")["field"] == field


def test_a_finished_run_shows_stages_models_metrics_and_events(client: TestClient, finished_run: str) -> None:
    run = client.get(f"/runs/{finished_run}").json()
    stages = [stage for generation in run["generation_details"] for stage in generation["stages"]]
    assert {stage["state"] for stage in stages} == {"succeeded"}
    train = f"/runs/{finished_run}/generations/1/stages/train"
    assert client.get(train).json()["progress"]["values"]["loss"] == 0.25
    assert [row["step"] for row in client.get(f"{train}/metrics").json()["rows"]] == [10, 20]
    attempt = client.get(f"{train}/attempts/1").json()
    assert attempt["submission_id"] == f"{finished_run}-g1-train-a1"
    models = client.get("/models", params={"run_id": finished_run}).json()["items"]
    assert [round(model["test_top1"], 3) for model in models] == [0.95, 0.9, 0.8]
    assert client.get(f"/models/{models[0]['id']}").json() == models[0]
    assert len(client.get(f"/runs/{finished_run}/events").json()["items"]) > len(stages)


def test_a_log_tail_has_the_last_lines(client: TestClient, finished_run: str) -> None:
    path = f"/runs/{finished_run}/generations/0/stages/train/logs"
    assert client.get(path).json()["lines"] == ["first line", "last line"]
    tail = client.get(path, params={"lines": 1, "attempt": 1}).json()
    assert tail == {
        "attempt": 1,
        "submission_id": f"{finished_run}-g0-train-a1",
        "lines": ["last line"],
        "source": "ray",
        "note": None,
    }


@pytest.mark.parametrize("name", ["", "nul\x00l", "bell\x07", "line\nbreak", "n" * 121])
def test_a_name_with_control_characters_is_refused(client: TestClient, run_config: dict[str, Any], name: str) -> None:
    answer = client.post("/runs", json={**run_config, "name": name})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"


def test_a_run_is_paused_and_resumed(client: TestClient, run_id: str, reconcile: Callable[[], None]) -> None:
    answer = client.post(f"/runs/{run_id}/pause")
    assert (answer.status_code, answer.json()["state"]) == (202, "pausing")
    assert client.post(f"/runs/{run_id}/pause").status_code == 202
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "paused"
    assert client.post(f"/runs/{run_id}/resume").json()["state"] == "running"
    reconcile()
    assert client.get(f"/runs/{run_id}").json()["state"] == "succeeded"
    assert client.post(f"/runs/{run_id}/pause").status_code == 409
    assert client.post(f"/runs/{run_id}/resume").status_code == 409
    assert client.post("/runs/run-none/pause").status_code == 404


def test_a_priority_is_given_and_changed(client: TestClient, run_config: Config) -> None:
    run = client.post("/runs", json={**run_config, "priority": 3, "project": "vision"}).json()
    assert (run["priority"], run["project"], run["queue"]) == (3, "vision", None)
    changed = client.patch(f"/runs/{run['id']}", json={"priority": -2}).json()
    assert changed["priority"] == -2
    for body in ({"priority": 101}, {"priority": "high"}, {"priority": 1, "name": "new"}, {}):
        assert client.patch(f"/runs/{run['id']}", json=body).status_code == 422
    refused = client.post("/runs", json={**run_config, "project": "a/b"}).json()
    assert refused["errors"][0]["field"] == "project"


def test_a_projects_quota_is_set_and_obeyed(
    client: TestClient, run_config: Config, reconcile: Callable[[], None]
) -> None:
    assert client.get("/projects/vision").status_code == 404
    project = client.put("/projects/vision/quota", json={"device_hours": 0}).json()
    assert project == {
        "name": "vision",
        "quota_device_hours": 0.0,
        "spent_device_hours": 0.0,
        "exhausted": True,
    }
    run = client.post("/runs", json={**run_config, "project": "vision"}).json()["id"]
    reconcile()
    waiting = client.get(f"/runs/{run}").json()
    assert waiting["queue"] == {
        "position": 1,
        "reason": "project vision has spent 0.00 of its quota of 0 device hours",
    }
    [queued] = client.get("/queue").json()["waiting"]
    assert (queued["run_id"], queued["stage"], queued["project"]) == (run, "train", "vision")
    client.put("/projects/vision/quota", json={"device_hours": None})
    reconcile()
    assert client.get(f"/runs/{run}").json()["state"] == "succeeded"
    assert client.get("/queue").json()["waiting"] == []
    assert {"vision", "default"} == {project["name"] for project in client.get("/projects").json()["items"]}
    assert client.put("/projects/vision/quota", json={"device_hours": -1}).status_code == 422
    assert client.put("/projects/vision/quota", json={}).status_code == 422


def test_retries_and_deadlines_of_a_run_are_checked(client: TestClient, run_config: Config) -> None:
    own = {"retry": {"out_of_memory": 3}, "schedule_timeout_seconds": 60, "stall_timeout_seconds": {"train": 120}}
    config = client.post("/runs", json={**run_config, "fault_tolerance": own}).json()["config"]
    assert config["fault_tolerance"]["retry"]["out_of_memory"] == 3
    assert config["fault_tolerance"]["stall_timeout_seconds"]["label"] == 1800
    for wrong, field in (
        ({"retry": {"stage_error": -1}}, "retry.stage_error"),
        ({"stall_timeout_seconds": {"train": 0}}, "stall_timeout_seconds.train"),
    ):
        error = client.post("/runs", json={**run_config, "fault_tolerance": wrong}).json()["errors"][0]
        assert error["field"] == f"fault_tolerance.{field}"


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        (0, "num_workers", "greater than or equal to 1"),
        ("two", "num_workers", "valid integer"),
        ({"min": 2, "max": 1}, "num_workers.max", r"must be at least min \(2\); it is 1"),
        ({"min": 0, "max": 1}, "num_workers.min", "greater than or equal to 1"),
        ({"min": 1}, "num_workers.max", "required"),
        ({"min": 1, "max": 2, "step": 1}, "num_workers.step", "not permitted"),
    ],
)
def test_a_wrong_number_of_workers_is_refused_by_its_field(
    client: TestClient, run_config: Config, wrong: object, field: str, message: str
) -> None:
    error = _refused(client, {**run_config, "resources": {"train": {"num_workers": wrong}}})
    assert error["field"] == f"resources.train.{field}"
    assert re.search(message, error["message"])


@pytest.mark.parametrize("name", sorted(MOVED_FIELDS))
def test_a_field_at_its_old_place_is_refused_with_the_new_one(
    client: TestClient, run_config: Config, name: str
) -> None:
    assert MOVED_FIELDS[name] == f"fault_tolerance.{name}"
    assert name in FaultTolerance.model_fields
    old = {**run_config, name: FaultTolerance().model_dump(mode="json")[name]}
    for path, body, field in (("/runs", old, name), ("/plans", {"run": old}, f"run.{name}")):
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert (error["field"], f"is fault_tolerance.{name} now" in error["message"]) == (field, True)
    elsewhere = client.post("/webhooks", json={"url": "https://example.com/", name: 1}).json()["errors"]
    assert not any("fault_tolerance" in error["message"] for error in elsewhere)


def test_runs_have_summaries_and_confusion_matrices_a_route_of_their_own(client: TestClient, finished_run: str) -> None:
    stage = f"/runs/{finished_run}/generations/1/stages/evaluate"
    for path in (f"/runs/{finished_run}", f"/runs/{finished_run}/generations", f"/runs/{finished_run}/stages", stage):
        assert "confusion" not in client.get(path).text, path
    assert '"per_class"' not in client.get(f"/runs/{finished_run}").text
    assert client.get(stage).json()["result"]["metrics"]["per_class"]
    matrices = client.get(f"{stage}/confusion").json()["matrices"]
    assert len(matrices["test"]["counts"]) == len(matrices["test"]["classes"]) == 2
    assert client.get(f"/runs/{finished_run}/generations/1/stages/train/confusion").status_code == 404


def test_what_is_read_is_compressed_and_secrets_are_not(client: TestClient, finished_run: str) -> None:
    packed = client.get(f"/runs/{finished_run}", headers={"Accept-Encoding": "gzip"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    plain = client.get(f"/runs/{finished_run}", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["config"] == plain.json()["config"]
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 3
    for secret in (
        client.post("/keys", json={"name": "k" * 120, "scope": "viewer", "project": None}),
        client.post(f"/runs/{finished_run}/generations", json={}),
    ):
        assert "Content-Encoding" not in secret.headers
