"""Exports of pseudo labels over REST and on the command line."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.settings import Settings
from tests.support.made_labels import select_again, write_labels

LABELS = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3], [0.0, 0.0]]
"""Row 4 is an evaluation image, and row 5 is broken."""


@pytest.fixture
def labeled_run(settings: Settings, finished_run: str, tmp_path: Path) -> str:
    folder = Path(settings.artifact_root) / "runs" / finished_run
    write_labels(folder, 1, tmp_path / "images" / "unlabeled.parquet", LABELS, held_out=4)
    select_again(folder, 1)
    return finished_run


def export(client: TestClient, run: str, **query: str | float) -> pd.DataFrame:
    answer = client.get(f"/runs/{run}/generations/1/labels/export", params=query)
    assert answer.status_code == 200, answer.text
    assert str(query.get("format", "parquet")) in answer.headers["Content-Disposition"]
    read = pd.read_csv if query.get("format") == "csv" else pd.read_parquet
    found: pd.DataFrame = read(io.BytesIO(answer.content))
    return found


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_selected_labels_are_those_that_the_student_learns_from(
    client: TestClient, labeled_run: str, kind: str
) -> None:
    rows = export(client, labeled_run, format=kind)
    assert rows.key.tolist() == [f"unlabeled.parquet:{row}" for row in range(4)]
    assert rows.label_name.tolist() == ["cat", "cat", "dog", "dog"]
    assert rows.confidence.tolist() == pytest.approx([0.9, 0.6, 0.8, 0.55])
    assert rows.copies.min() >= 1
    assert set(rows.teachers) == {f"{labeled_run}-g0"}
    assert set(rows.generation) == {1}


def test_all_labels_say_why_the_others_are_not_selected(client: TestClient, labeled_run: str) -> None:
    rows = export(client, labeled_run, which="all")
    assert rows.selected.tolist() == [True] * 4 + [False] * 2
    assert rows.not_selected_because.tolist()[4:] == ["held_out", "broken"]
    assert rows.label_name.isna().tolist() == [False] * 5 + [True]
    assert export(client, labeled_run, which="all", min_confidence=0.75).row.tolist() == [0, 2]


def test_the_source_says_where_everything_is(client: TestClient, labeled_run: str) -> None:
    source = client.get(f"/runs/{labeled_run}/generations/1/labels/source").json()
    assert source["classes"] == ["cat", "dog"]
    assert (Path(source["labels_uri"]) / "part-00000.parquet").exists()
    assert (Path(source["selection_uri"]) / "part-00000.parquet").exists()
    assert Path(source["manifest_uri"]).exists()


def test_labels_that_are_not_there_are_a_conflict_that_says_why(client: TestClient, labeled_run: str) -> None:
    assert client.get(f"/runs/{labeled_run}/generations/0/labels/export").status_code == 404
    assert client.get("/runs/none/generations/1/labels/export").status_code == 404
    gone = client.get(f"/runs/{labeled_run}/generations/2/labels/export")
    assert (gone.status_code, "retention" in gone.json()["detail"]) == (409, True)


def test_a_run_that_has_not_labeled_yet_says_so(client: TestClient, run_id: str) -> None:
    answer = client.get(f"/runs/{run_id}/generations/1/labels/export")
    assert (answer.status_code, "has not labeled" in answer.json()["detail"]) == (409, True)


def test_the_command_writes_tables_and_folders(server: str, labeled_run: str, tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        found = CliRunner().invoke(commands, ["labels", "export", labeled_run, "1", *arguments, "--api", server])
        assert found.exit_code == code, found.output
        return found.output

    run("-o", str(tmp_path / "labels.csv"), "--format", "csv", "--which", "all")
    assert len(pd.read_csv(tmp_path / "labels.csv")) == 6
    assert "4 images" in run("-o", str(tmp_path / "hf"), "--format", "huggingface")
    assert len(pd.read_parquet(tmp_path / "hf" / "data")) == 4
    assert json.loads((tmp_path / "hf" / "labels.json").read_text())["images"] == 4
    assert "2 images" in run("-o", str(tmp_path / "tars"), "--format", "webdataset", "--limit-per-class", "1")
    assert "folder" in run("-o", str(tmp_path / "hf"), "--format", "webdataset", code=ExitCode.ERROR)
    assert "--limit-per-class" in run("-o", str(tmp_path / "t.csv"), "--limit-per-class", "1", code=ExitCode.ERROR)
