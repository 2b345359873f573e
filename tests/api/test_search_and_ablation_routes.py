"""POST /searches and /runs/{id}/ablations, what their GETs show, and the same on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.examples.studies import ABLATION, SEARCH
from noisy_student.cli.commands.studies import ablation_table, trial_table
from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands


def search_body(run_id: str, **settings: Any) -> dict[str, Any]:
    return {"run_id": run_id, "generation": 0, "settings": settings}


def test_a_search_is_started_and_shown(client: TestClient, run_id: str) -> None:
    answer = client.post("/searches", json=search_body(run_id, trials=3))
    assert answer.status_code == 201, answer.text
    search = answer.json()
    assert answer.headers["Location"] == f"/searches/{search['id']}"
    assert (search["state"], search["run_id"], search["trials"], search["outcome"]) == ("running", run_id, [], None)
    assert search["settings"]["trials"] == 3
    assert client.get(answer.headers["Location"]).json() == search
    assert [each["id"] for each in client.get("/searches").json()["items"]] == [search["id"]]
    assert [each["id"] for each in client.get("/runs").json()["items"]] == [run_id]
    assert client.get(f"/runs/{search['id']}").json()["kind"] == "search"
    assert client.get(f"/runs/{search['id']}/generations/0/stages/search/trials").json() == {"trials": []}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"trials": 0}, "settings.trials"),
        ({"space": {"rand_augment_m": {"low": 5, "high": 40}}}, "settings.space.rand_augment_m"),
        ({"space": {"rand_augment_n": {"low": 3, "high": 1}}}, "settings.space.rand_augment_n.high"),
        ({"space": {"rand_augment_n": None, "rand_augment_m": None}}, "settings.space"),
        ({"space": {"models": ["test_resnet"], "family": "test_*"}}, "settings.space.family"),
        ({"space": {"models": ["no_such_model"]}}, "settings.space.models.0"),
        ({"space": {"family": "no_such_*"}}, "settings.space.family"),
        ({"steps_fraction": "half"}, "settings.steps_fraction"),
        ({"surprise": 1}, "settings.surprise"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(
    client: TestClient, run_id: str, asked: dict[str, Any], field: str
) -> None:
    answer = client.post("/searches", json=search_body(run_id, **asked))
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_search_of_labels_that_are_not_there_yet_is_a_conflict(client: TestClient, run_id: str) -> None:
    assert client.post("/searches", json={"run_id": run_id, "generation": 1}).status_code == 409
    assert client.post(f"/runs/{run_id}/ablations", json={}).status_code == 409


def test_what_is_not_there_is_404(client: TestClient, run_id: str) -> None:
    for path in (
        "/searches/search-1",
        f"/searches/{run_id}",
        "/ablations/ablation-1",
        "/runs/run-1/ablations",
        f"/runs/{run_id}/generations/0/stages/train/pictures/reliability.svg",
        f"/runs/{run_id}/generations/1/stages/search/trials",
    ):
        assert client.get(path).status_code == 404, path


def test_a_picture_is_asked_for_by_a_plain_name(client: TestClient, run_id: str) -> None:
    for name in ("result.json", "..%2Fspec.json", "a.svg.json"):
        answer = client.get(f"/runs/{run_id}/generations/0/stages/train/pictures/{name}")
        assert answer.status_code in (404, 422), name


def test_a_gate_and_robustness_are_part_of_a_run(client: TestClient, run_config: dict[str, Any]) -> None:
    body = {
        **run_config,
        "evaluation": {"robustness": {"adversarial": None}},
        "gate": {"conditions": ["top1 >= previous", "mfr <= previous"], "on_failure": "go_on"},
    }
    run = client.post("/runs", json=body).json()
    assert run["config"]["evaluation"]["robustness"]["adversarial"] is None
    wrong = {**body, "gate": {"conditions": ["top1 >= previous", "speed > 1"]}}
    [error] = client.post("/runs", json=wrong).json()["errors"]
    assert error["field"] == "gate.conditions.1"


def test_searches_and_ablations_on_the_command_line(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: TestClient, run_id: str
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")

    def cli(*arguments: str) -> Any:
        return CliRunner().invoke(commands, list(arguments))

    file = tmp_path / "search.json"
    file.write_text(json.dumps(search_body(run_id)))
    started = cli("searches", "create", "-f", str(file), "-o", "json")
    assert started.exit_code == 0, started.output
    search_id = json.loads(started.stdout)["id"]
    assert search_id in cli("searches", "list").stdout
    assert "running" in cli("searches", "show", search_id).stdout
    refused = cli("ablations", "create", run_id)
    assert refused.exit_code == ExitCode.REFUSED
    assert "no generation whose images are selected" in refused.stderr
    assert cli("ablations", "list", run_id, "-o", "json").stdout.strip() == "[]"


def test_tables_have_a_line_a_trial_and_a_line_a_variant(render: Callable[[Any], str]) -> None:
    assert "0.9400" in render(trial_table(SEARCH))
    text = render(ablation_table(ABLATION))
    assert "full" in text
    assert "the teacher's is 6.00" in text


@pytest.fixture
def render() -> Callable[[Any], str]:
    from rich.console import Console

    def render(table: Any) -> str:
        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(table)
        return capture.get()

    return render
