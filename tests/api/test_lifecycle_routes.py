"""Lineage, keeping, retention and webhooks over REST and on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from noisy_student.cli.main import app as commands


def test_a_models_lineage_can_be_posted_as_a_run(client: TestClient, finished_run: str) -> None:
    lineage = client.get(f"/models/{finished_run}-g2/lineage").json()

    assert lineage["teacher"]["teacher"]["generation"] == 0
    assert all(dataset["digest_of"] == "images" and len(dataset["digest"]) == 64 for dataset in lineage["datasets"])
    again = client.post("/runs", json=lineage["run_config"])
    assert again.status_code == 201, again.text
    seeds = [generation["plan"]["seed"] for generation in again.json()["generation_details"]]
    assert seeds == [lineage["teacher"]["teacher"]["seed"], lineage["teacher"]["seed"], lineage["seed"]]


def test_a_model_is_kept_and_released(client: TestClient, finished_run: str) -> None:
    model = f"/models/{finished_run}-g1"
    assert client.get(model).json()["kept"] is False
    assert client.put(f"{model}/keep").json()["kept"] is True
    assert client.put(f"{model}/keep").json()["kept"] is True
    assert client.delete(f"{model}/keep").json()["kept"] is False
    kinds = [event["kind"] for event in client.get(f"/runs/{finished_run}/events").json()["items"]]
    assert kinds[:2] == ["model_released", "model_kept"]
    assert client.put("/models/run-0-g0/keep").status_code == 404


def test_the_plan_has_a_reason_for_everything(client: TestClient, finished_run: str) -> None:
    plan = client.get("/retention/plan", params={"run_id": finished_run}).json()["items"]
    assert {item["artifact"] for item in plan} == {"checkpoints", "labels", "selection", "scratch"}
    assert all(item["reason"] and not item["collect"] for item in plan), "the run has only just ended"
    assert client.post("/retention/apply").json() == {"marked": 0}
    assert client.post("/retention/apply", params={"run_id": "run-0"}).status_code == 404


def test_a_run_may_have_a_policy_of_its_own(client: TestClient, run_config: dict[str, Any]) -> None:
    accepted = client.post("/runs", json={**run_config, "retention": {"keep_last_checkpoints": 3}})
    assert accepted.json()["config"]["retention"]["keep_last_checkpoints"] == 3
    refused = client.post("/runs", json={**run_config, "retention": {"keep_last_checkpoints": -1}})
    assert refused.json()["errors"][0]["field"] == "retention.keep_last_checkpoints"


def test_a_private_webhook_is_refused_by_name(client: TestClient) -> None:
    refused = client.post("/webhooks", json={"url": "https://127.0.0.1/hook"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "url"
    assert client.get("/webhooks").json()["items"] == []
    assert client.get("/webhooks/hook-0").status_code == 404
    assert client.delete("/webhooks/hook-0").status_code == 404
    assert client.post("/webhooks/hook-0/deliveries/1/retry").status_code == 404


def test_the_same_on_the_command_line(
    server: str, finished_run: str, monkeypatch: pytest.MonkeyPatch, client: TestClient, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")

    def cli(*arguments: str) -> str:
        result = CliRunner().invoke(commands, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    assert f"{finished_run}-g0" in cli("models", "lineage", f"{finished_run}-g2")
    file = tmp_path / "again.json"
    file.write_text(cli("models", "lineage", f"{finished_run}-g2", "--run-config"))
    assert "started" in cli("runs", "create", "-f", str(file))
    assert cli("models", "keep", f"{finished_run}-g1").endswith("is kept\n")
    assert "the model" in cli("retention", "plan", "--run", finished_run)
    assert "0 artifact(s) marked" in cli("retention", "apply")
    assert cli("webhooks", "list", "-o", "json").strip() == "[]"
    first = json.loads(cli("events", "--after", "0", "--count", "1", "-o", "json"))
    assert (first["id"], first["kind"]) == (1, "dataset_registered")
    assert "run_created" in cli("events", "--run", finished_run, "--after", "0", "--count", "1")


def test_dataset_digests_are_of_the_images_wherever_they_lie(
    client: TestClient, register: Callable[..., str], write_images: Callable[..., Path]
) -> None:
    def digest(dataset: str) -> str:
        return str(client.get(f"/datasets/{dataset}").json()["digest"])

    one, same = register("one", "labeled", 0), register("other-name", "labeled", 0)
    other_images = register("two", "labeled", 50)
    other_labels = register("three", "labeled", 0, classes=("dog", "cat"))

    assert digest(one) == digest(same)
    assert len({digest(one), digest(other_images), digest(other_labels)}) == 3
