"""Marks of a pool whose images are files of their own leave the service as a list that registers as labeled data."""

import csv
import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.settings import Settings
from tests.support.application import Register
from tests.support.made_labels import select_again, write_labels

LABELS = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(len(LABELS)):
        Image.new("RGB", (8, 8), (100 + number, 0, 99)).save(folder / f"{number} ü.png")
    return folder


@pytest.fixture
def datasets(register: Register, client: TestClient, pool: Path) -> dict[str, str]:
    made = client.post("/datasets", json={"name": "pool", "role": "unlabeled", "uri": str(pool)})
    assert made.status_code == 201, made.text
    return {
        "labeled": register("labeled", "labeled", 0),
        "unlabeled": made.json()["id"],
        "validation": register("validation", "evaluation", 200),
        "test": register("test", "evaluation", 300),
    }


def test_a_list_of_marked_images_registers_as_labeled_data(
    client: TestClient, finished_run: str, settings: Settings, pool: Path, tmp_path: Path
) -> None:
    folder = Path(settings.artifact_root) / "runs" / finished_run
    write_labels(folder, 1, pool, LABELS)
    select_again(folder, 1)
    labels = f"/runs/{finished_run}/generations/1/labels"
    assert client.get(f"{labels}/0/2/picture").status_code == 200
    for row, body in ((0, {"verdict": "right"}), (3, {"verdict": "class", "class": "cat"}), (2, {"verdict": "right"})):
        assert client.put(f"{labels}/0/{row}/mark", json=body).status_code == 200
    listed = client.get(f"/runs/{finished_run}/marks/export", params={"format": "csv"})
    assert listed.status_code == 200, listed.text
    rows = list(csv.DictReader(io.StringIO(listed.text)))
    assert [(row["uri"], row["label"]) for row in rows] == [
        (str(pool / "0 ü.png"), "cat"),
        (str(pool / "2 ü.png"), "dog"),
        (str(pool / "3 ü.png"), "cat"),
    ]
    (tmp_path / "marks.csv").write_bytes(listed.content)
    made = client.post("/datasets", json={"name": "marked", "role": "labeled", "uri": str(tmp_path / "marks.csv")})
    assert made.status_code == 201, made.text
    assert made.json()["class_counts"] == {"cat": 2, "dog": 1}
