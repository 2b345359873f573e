"""`noisy-student predict MODEL FOLDER` on this machine: no service, no registration, no Ray."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from noisy_student.cli.main import app
from noisy_student.errors import ApiError
from noisy_student.local.folder_prediction import LocalPrediction, predict_locally
from workers.models.create import create_model
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.specs.model_card import ModelCard

CLASSES = ("cat", "dog", "owl")
NOBODY = "http://127.0.0.1:9"
"""Where no service answers."""


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 28, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pulled") / "model"
    torch.manual_seed(0)
    card = ModelCard(
        model="test_resnet", classes=CLASSES, image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(folder), create_model("test_resnet", 3, 28, 0.3, 0.1).state_dict(), card)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Nested folders of pictures, one of which is broken."""
    folder = tmp_path / "pictures"
    for number, place in enumerate(("cat", "cat/more", "dog", "unknown")):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{number}.jpg").write_bytes(jpeg(number))
    (folder / "dog" / "broken.jpg").write_bytes(jpeg(9)[:100])
    return folder


def shards_in(folder: Path, count: int) -> Path:
    """A folder of Parquet files with two pictures each."""
    folder.mkdir()
    for shard in range(count):
        pq.write_table(pa.table({"image": [jpeg(2 * shard), jpeg(2 * shard + 1)]}), folder / f"s{shard}.parquet")
    return folder


def command(*arguments: object) -> str:
    found = CliRunner().invoke(app, ["predict", *map(str, arguments)], env={"NOISY_STUDENT_API": NOBODY})
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_folder_of_pictures_is_predicted_without_a_service(model: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    said = command(model, pictures, "-o", out, "--top-k", 2)
    assert "5 images" in said
    assert "1 broken" in said
    rows = pd.read_parquet(out).set_index("key")
    predictor = Predictor(str(model))
    for key in ("cat/0.jpg", "cat/more/1.jpg", "dog/2.jpg", "unknown/3.jpg"):
        expected = predictor.predict([(pictures / key).read_bytes()]).probabilities[0]
        assert rows.label_name[key] == CLASSES[int(expected.argmax())]
        assert rows.confidence[key] == pytest.approx(expected.max(), abs=1e-6)
        assert list(rows.top_names[key]) == [CLASSES[index] for index in np.argsort(-expected)[:2]]
    assert pd.isna(rows.label_name["dog/broken.jpg"])
    assert rows.broken["dog/broken.jpg"] == "truncated"
    assert list(tmp_path.glob(".*")) == []


def test_a_table_as_csv_has_all_classes(model: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    outcome = json.loads(command(model, pictures, "-o", out, "--all-classes", "--report", "json"))
    assert (outcome["images"], outcome["bad_images"], outcome["truth"]) == (5, 1, None)
    rows = pd.read_csv(out).dropna(subset="label")
    assert [sum(json.loads(each)) for each in rows.top_probabilities] == pytest.approx([1.0] * 4)
    assert all(sorted(json.loads(each)) == [0, 1, 2] for each in rows.top_classes)


def test_labels_of_the_place_give_the_accuracy(model: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    outcome = json.loads(command(model, pictures, "-o", out, "--with-labels", "--report", "json"))
    rows = pd.read_parquet(out)
    right = (rows.label_name == rows.true_label).sum()
    assert outcome["truth"] == {"images": 3, "top1_right": right, "top5_right": 3, "of_other_classes": 1}


def test_a_stopped_prediction_continues_and_leaves_no_half_file(model: Path, tmp_path: Path) -> None:
    asked = LocalPrediction(model, str(shards_in(tmp_path / "shards", 3)), tmp_path / "out.parquet")

    def stop(done: int, total: int) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_locally(asked, stop)
    assert not asked.output.exists()
    finished = asked.parts / "part-00000.parquet"
    written_at = finished.stat().st_mtime_ns
    told: list[int] = []

    def look(done: int, total: int) -> None:
        assert finished.stat().st_mtime_ns == written_at
        told.append(done)

    outcome = predict_locally(asked, look)
    assert (outcome.images, outcome.shards, outcome.shards_resumed) == (6, 3, 1)
    assert told == [2, 4, 6]
    assert pq.read_table(asked.output)["key"].to_pylist() == [f"s{n}.parquet:{row}" for n in range(3) for row in (0, 1)]
    assert not asked.parts.exists()
    whole = pq.read_table(asked.output)
    predict_locally(asked, lambda done, total: None)
    assert pq.read_table(asked.output).equals(whole)


def test_changed_pictures_are_predicted_again(model: Path, tmp_path: Path) -> None:
    asked = LocalPrediction(model, str(shards_in(tmp_path / "shards", 2)), tmp_path / "out.parquet")

    def stop(done: int, total: int) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_locally(asked, stop)
    pq.write_table(pa.table({"image": [jpeg(70), jpeg(71)]}), tmp_path / "shards" / "s0.parquet")
    assert predict_locally(asked, lambda done, total: None).shards_resumed == 0


@pytest.mark.parametrize("what", ["no model", "no pictures"])
def test_what_is_missing_is_named_and_nothing_is_left(model: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    place = tmp_path / "empty"
    folder = tmp_path / "empty" if what == "no model" else model
    with pytest.raises(ApiError, match=r"model\.json" if what == "no model" else "empty"):
        predict_locally(LocalPrediction(folder, str(place), tmp_path / "out.parquet"), lambda done, total: None)
    assert not (tmp_path / "out.parquet").exists()


def test_a_models_folder_cannot_predict_a_registered_dataset(model: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["predict", str(model), "ds-1", "-o", str(tmp_path / "out.parquet")])
    assert found.exit_code != 0
    assert "ds-1 is not there" in found.output
