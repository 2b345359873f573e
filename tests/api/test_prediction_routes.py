"""/predictions over REST and on the command line, with files as the predict stage writes them."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.examples.predictions import PREDICTION_REQUESTS
from noisy_student.cli.main import app as commands
from service.config.predictions import PredictionRequest
from workers.labeling.predicted_rows import PredictedRows
from workers.prediction.part_files import PredictionTable, write_predictions
from workers.specs.prediction import PredictedBy


@pytest.fixture
def prediction(
    client: TestClient, finished_run: str, run_config: dict[str, Any], reconcile: Callable[[], None]
) -> dict[str, Any]:
    """A finished prediction; its one file has three rows, the last of them broken."""
    body = {"model": f"{finished_run}-g1", "dataset": run_config["datasets"]["test"], "top_k": 2}
    answer = client.post("/predictions", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/predictions/{answer.json()['id']}"
    reconcile()
    found: dict[str, Any] = client.get(answer.headers["Location"]).json()
    write_part(found["folder_uri"], rows=3)
    return found


def write_part(folder: str, rows: int) -> None:
    table = PredictionTable(("cat", "dog", "owl"), (), top_k=2)
    probabilities = np.tile(np.array([[0.1, 0.7, 0.2]], dtype=np.float32), (rows, 1))
    table.add(PredictedRows(0, [f"é{row}.jpg" for row in range(rows)], [], [], probabilities, {}, {}))
    write_predictions(folder, 0, table.finished(PredictedBy(model="m", dataset="d", top_k=2))[0])


def test_a_prediction_is_started_shown_and_listed(client: TestClient, prediction: dict[str, Any]) -> None:
    assert prediction["state"] == "succeeded"
    assert prediction["settings"]["top_k"] == 2
    assert prediction["outcome"]["images"] == 6
    assert [each["id"] for each in client.get("/predictions").json()["items"]] == [prediction["id"]]
    kinds = [event["kind"] for event in client.get(f"/runs/{prediction['id']}/events").json()["items"]]
    assert "prediction_created" in kinds


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_prediction_is_downloaded_as_one_table(client: TestClient, prediction: dict[str, Any], kind: str) -> None:
    answer = client.get(f"/predictions/{prediction['id']}/download", params={"format": kind})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{prediction["id"]}.{kind}"'
    rows = (pd.read_parquet if kind == "parquet" else pd.read_csv)(io.BytesIO(answer.content))
    assert rows.key.tolist() == ["é0.jpg", "é1.jpg", "é2.jpg"]
    assert rows.label_name.tolist() == ["dog"] * 3
    names = [json.loads(each) if kind == "csv" else list(each) for each in rows.top_names]
    assert names == [["dog", "owl"]] * 3


def test_a_prediction_is_downloaded_as_a_zip_of_its_files(client: TestClient, prediction: dict[str, Any]) -> None:
    answer = client.get(f"/predictions/{prediction['id']}/download")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            f"{prediction['id']}/prediction.json",
            f"{prediction['id']}/part-00000.parquet",
        ]
        stored = Path(prediction["folder_uri"]) / "part-00000.parquet"
        assert archive.read(archive.namelist()[1]) == stored.read_bytes()
        assert json.loads(archive.read(archive.namelist()[0]))["id"] == prediction["id"]


def test_what_is_not_there_or_not_ready_is_said(
    client: TestClient, prediction: dict[str, Any], finished_run: str, run_config: dict[str, Any]
) -> None:
    (Path(prediction["folder_uri"]) / "part-00000.parquet").unlink()
    gone = client.get(f"/predictions/{prediction['id']}/download")
    assert (gone.status_code, "part-00000.parquet" in gone.json()["detail"]) == (409, True)
    body = {"model": f"{finished_run}-g1", "dataset": run_config["datasets"]["test"]}
    running = client.post("/predictions", json=body).json()["id"]
    assert client.get(f"/predictions/{running}/download").status_code == 409
    assert client.get("/predictions/none/download").status_code == 404
    assert client.get(f"/predictions/{finished_run}").status_code == 404
    wrong = client.post("/predictions", json={**body, "model": "none"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "model")


def test_a_large_table_streams_in_bounded_memory(client: TestClient, prediction: dict[str, Any]) -> None:
    write_part(prediction["folder_uri"], rows=400_000)
    downloads = client.app.state.services.prediction_downloads  # type: ignore[attr-defined]
    tracemalloc.start()
    for kind in ("csv", "parquet"):
        blocks = downloads.download(prediction["id"], kind).blocks
        first = next(blocks)
        tracemalloc.reset_peak()
        size = len(first) + sum(len(block) for block in blocks)
        assert size > 1_000_000 if kind == "csv" else size > 100_000
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("example", PREDICTION_REQUESTS)
def test_the_documents_examples_are_valid(example: str) -> None:
    PredictionRequest.model_validate(PREDICTION_REQUESTS[example]["value"])


def test_the_commands_show_and_download_it(server: str, prediction: dict[str, Any], tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        found = CliRunner().invoke(commands, ["predictions", *arguments, "--api", server])
        assert found.exit_code == 0, found.output
        return found.stdout

    assert prediction["id"] in run("list")
    assert "6 images" in run("show", prediction["id"])
    run("download", prediction["id"], "-o", str(tmp_path / "p.csv"))
    assert pd.read_csv(tmp_path / "p.csv").label_name.tolist() == ["dog"] * 3
    assert list(tmp_path.glob(".p.csv*")) == []


def test_predict_by_the_service_waits_for_the_same_prediction_and_downloads_it(
    server: str, prediction: dict[str, Any], client: TestClient, tmp_path: Path, reconcile: Callable[[], None]
) -> None:
    asked = prediction["settings"]
    arguments = ["predict", asked["model"], asked["dataset"], "-o", str(tmp_path / "p.parquet"), "--top-k", "3"]
    body = PredictionRequest(model=asked["model"], dataset=asked["dataset"], top_k=3, batch_size=64)
    key = f"predict-{hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]}"
    started = client.post(
        "/predictions", json=body.model_dump(mode="json", exclude_unset=True), headers={"Idempotency-Key": key}
    ).json()
    reconcile()
    write_part(client.get(f"/predictions/{started['id']}").json()["folder_uri"], rows=3)
    found = CliRunner().invoke(commands, [*arguments, "--api", server])
    assert found.exit_code == 0, found.output
    assert len(client.get("/predictions").json()["items"]) == 2
    assert pd.read_parquet(tmp_path / "p.parquet").label.tolist() == [1, 1, 1]
