"""A model in a bucket is downloaded like one in a local folder."""

import io
import zipfile

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from service.store.schema.tables import ModelRow
from tests.object_store.conftest import Address
from tests.support.stored_models import store_model
from workers.artifact_io import delete_if_there, open_filesystem, read_bytes


@pytest.mark.parametrize("with_configuration", [True, False])
def test_a_model_in_a_bucket_is_downloaded(
    app: FastAPI, client: TestClient, finished_run: str, bucket: Address, with_configuration: bool
) -> None:
    folder = bucket("artifacts", "gen-2", "train")
    store_model(folder)
    if not with_configuration:
        delete_if_there(*open_filesystem(bucket("artifacts", "gen-2", "train", "config.json")))
    model_id = f"{finished_run}-g2"
    with app.state.services.database.write() as session:
        session.execute(update(ModelRow).where(ModelRow.id == model_id).values(uri=folder))
    answer = client.get(f"/models/{model_id}/download")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == [
            f"{model_id}/{name}" for name in ("README.md", "config.json", "model.json", "model.safetensors")
        ]
        weights = bucket("artifacts", "gen-2", "train", "model.safetensors")
        assert archive.read(f"{model_id}/model.safetensors") == read_bytes(weights)
