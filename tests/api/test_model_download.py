"""GET /models/{id}/download: a zip of a folder that timm loads, with a card, streamed in constant memory."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from safetensors.torch import load_file

from service.exports.archive import ModelArchives
from tests.support.stored_models import store_model


@pytest.fixture
def model(client: TestClient, finished_run: str) -> tuple[str, Path]:
    """The id and the folder of the last model of a run."""
    model_id = f"{finished_run}-g2"
    folder = Path(client.get(f"/models/{model_id}").json()["uri"])
    store_model(str(folder))
    return model_id, folder


def archives_of(app: FastAPI) -> ModelArchives:
    found: ModelArchives = app.state.services.archives
    return found


def test_a_downloaded_model_is_a_folder_that_timm_loads(
    client: TestClient, model: tuple[str, Path], tmp_path: Path
) -> None:
    model_id, stored = model
    answer = client.get(f"/models/{model_id}/download", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{model_id}.zip"'
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.content)

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    files = {file.name: file.read_bytes() for file in (tmp_path / model_id).iterdir()}
    assert sorted(files) == ["README.md", "config.json", "model.json", "model.safetensors"]
    for name in ("config.json", "model.json", "model.safetensors"):
        assert files[name] == (stored / name).read_bytes()

    loaded = timm.create_model(f"local-dir:{tmp_path / model_id}", pretrained=True)
    weights = load_file(stored / "model.safetensors")
    assert all(torch.equal(weight, weights[name]) for name, weight in dict(loaded.state_dict()).items())


def test_a_model_of_an_earlier_release_gets_timms_configuration(
    client: TestClient, model: tuple[str, Path], tmp_path: Path
) -> None:
    model_id, stored = model
    (stored / "config.json").unlink()
    answer = client.get(f"/models/{model_id}/download")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / model_id
    assert json.loads((folder / "config.json").read_text())["label_names"] == ["cat", "dog"]
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).num_classes == 2
    assert not (stored / "config.json").exists(), "a read changes nothing"


@pytest.mark.parametrize("gone", ["model.safetensors", "model.json"])
def test_a_model_whose_files_are_gone_is_a_conflict_that_names_the_file(
    client: TestClient, model: tuple[str, Path], gone: str
) -> None:
    model_id, stored = model
    (stored / gone).unlink()
    answer = client.get(f"/models/{model_id}/download")
    assert answer.status_code == 409
    assert gone in answer.json()["detail"]


def test_a_card_that_is_none_is_a_conflict(client: TestClient, model: tuple[str, Path]) -> None:
    model_id, stored = model
    (stored / "model.json").write_text("{}")
    assert client.get(f"/models/{model_id}/download").status_code == 409


def test_an_unknown_model_is_not_found(client: TestClient) -> None:
    assert client.get("/models/run-0-g0/download").status_code == 404


def test_an_archive_needs_no_more_memory_than_a_few_blocks(app: FastAPI, model: tuple[str, Path]) -> None:
    model_id, stored = model
    with (stored / "model.safetensors").open("r+b") as weights:
        weights.truncate(200 << 20)
    archive = archives_of(app).archive(model_id)
    tracemalloc.start()
    sent = sum(len(block) for block in archive.blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent == archive.size > 200 << 20
    assert peak < 8 << 20


def test_an_archive_whose_file_shrinks_meanwhile_ends_in_an_error(app: FastAPI, model: tuple[str, Path]) -> None:
    model_id, stored = model
    archive = archives_of(app).archive(model_id)
    with (stored / "model.safetensors").open("r+b") as weights:
        weights.truncate(1000)
    with pytest.raises(RuntimeError, match="size"):
        list(archive.blocks)
