"""POST /datasets registers real files, and rejects what cannot work, naming the file and the field."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.service.datasets.registration.hostile_files import write_encrypted_parquet

Write = Callable[..., Path]


def _refused(client: TestClient, body: dict[str, Any]) -> dict[str, str]:
    answer = client.post("/datasets", json=body)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert isinstance(error, dict)
    return error


def test_registering_answers_201_with_location_and_what_was_found(client: TestClient, write_images: Write) -> None:
    file = write_images("pets", 0, rows=6)
    answer = client.post("/datasets", json={"name": "pets", "role": "labeled", "uri": str(file)})
    assert answer.status_code == 201
    dataset = answer.json()
    assert answer.headers["Location"] == f"/datasets/{dataset['id']}"
    assert (dataset["rows"], dataset["classes"]) == (6, ["cat", "dog"])
    assert dataset["class_counts"] == {"cat": 3, "dog": 3}
    assert dataset["sampled_bad"] == 0
    assert client.get(answer.headers["Location"]).json() == dataset


def test_what_is_left_out_is_said_in_the_answer_and_whenever_the_dataset_is_shown(
    client: TestClient, tmp_path: Path
) -> None:
    for number, name in enumerate(("cat/1.png", "dog/1.png")):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "set" / name)
    (tmp_path / "set" / "notes.txt").write_text("two pictures")
    (tmp_path / "set" / "fox").mkdir()
    answer = client.post("/datasets", json={"name": "pets", "role": "labeled", "uri": str(tmp_path / "set")})
    expected = ["1 file(s) are left out: 1 of .txt", "the class folder fox holds no image: it is empty"]
    assert answer.json()["warnings"] == expected
    assert client.get(answer.headers["Location"]).json()["warnings"] == expected


def test_an_unlabeled_dataset_has_no_classes(client: TestClient, write_images: Write) -> None:
    file = write_images("pool", 0, classes=())
    dataset = client.post("/datasets", json={"name": "pool", "role": "unlabeled", "uri": str(file)}).json()
    assert dataset["classes"] == []
    assert dataset["class_counts"] is None


def test_a_place_without_files_is_refused(client: TestClient, tmp_path: Path) -> None:
    error = _refused(client, {"name": "a", "role": "unlabeled", "uri": str(tmp_path / "absent")})
    assert error["field"] == "uri"
    assert "absent" in error["message"]


def test_a_missing_label_column_is_refused(client: TestClient, write_images: Write) -> None:
    file = write_images("pets", 0)
    error = _refused(client, {"name": "a", "role": "labeled", "uri": str(file), "label_column": "species"})
    assert error["field"] == "label_column"
    assert "species" in error["message"]


def test_a_file_that_is_not_parquet_is_refused_by_name(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    error = _refused(client, {"name": "a", "role": "unlabeled", "uri": str(tmp_path / "broken.parquet")})
    assert "broken.parquet" in error["message"]


def test_bytes_that_are_no_pictures_are_refused(client: TestClient, tmp_path: Path) -> None:
    file = tmp_path / "noise.parquet"
    pq.write_table(pa.table({"image": pa.array([b"noise"] * 8, pa.binary())}), file)
    error = _refused(client, {"name": "a", "role": "unlabeled", "uri": str(file)})
    assert "noise.parquet" in error["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"role": "teacher"}, "role"), ({"uri": ""}, "uri"), ({"rows": 3}, "rows"), ({"format": "csv"}, "format")],
)
def test_an_invalid_field_is_named(client: TestClient, change: dict[str, Any], field: str) -> None:
    assert _refused(client, {"name": "a", "role": "unlabeled", "uri": "x", **change})["field"] == field


def test_a_refused_dataset_is_not_registered(client: TestClient, tmp_path: Path) -> None:
    _refused(client, {"name": "a", "role": "unlabeled", "uri": str(tmp_path / "absent")})
    assert client.get("/datasets").json()["items"] == []


@pytest.mark.parametrize(
    "uri",
    [
        "file://{folder}/a%00",
        "{folder}/a#b\x1b",
        "s3://[x",
        "s3://b/a//c",
        "s3://b/%ff",
        "file://{folder}/../x",
        "s3://b/" + "a" * 7900,
        "gs://" + "b" * 300,
        "s3://b/\ud800",
        "/a\ud800",
        "C:\\pets",
        "https://example.org/pets",
        "/dev/zero",
        "/proc/self/mem",
    ],
)
def test_a_place_that_cannot_be_meant_is_a_422_of_the_uri(client: TestClient, tmp_path: Path, uri: str) -> None:
    body = {"name": "x", "role": "unlabeled", "uri": uri.format(folder=tmp_path)}
    answer = client.post("/datasets", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert "uri" in answer.json()["detail"] or "surrogate" in answer.text or "Unicode" in answer.text


@pytest.mark.parametrize("field", ["name", "image_column", "label_column", "key_column", "format", "project", "role"])
@pytest.mark.parametrize("value", ["a\x00b", "\ud800", "x" * 5000, "", ["a"], {"a": 1}, 1, True])
def test_odd_values_of_every_parameter_are_refused_or_harmless(
    client: TestClient, write_images: Callable[..., Path], field: str, value: object
) -> None:
    body = {"name": "x", "role": "labeled", "uri": str(write_images("x", 1)), field: value}
    answer = client.post("/datasets", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("classes", [["a\x00", "b"], ["\ud800", "b"], [""], [], ["a", "a"], [["a"]], "ab", [1, 2]])
def test_odd_classes_are_refused(client: TestClient, write_images: Callable[..., Path], classes: object) -> None:
    body = {"name": "x", "role": "labeled", "uri": str(write_images("x", 1)), "classes": classes}
    answer = client.post("/datasets", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_a_file_that_aborts_its_reader_is_a_422_and_the_service_goes_on(client: TestClient, tmp_path: Path) -> None:
    write_encrypted_parquet(tmp_path / "encrypted.parquet")
    body = {"name": "x", "role": "labeled", "uri": str(tmp_path / "encrypted.parquet")}
    answer = client.post("/datasets", json=body)
    assert answer.status_code == 422
    assert "SIGABRT" in answer.json()["detail"]
    assert client.get("/runs").status_code == 200
    assert client.get("/datasets").json()["items"] == []


def test_a_look_offers_bodies_that_register_each_part_and_records_nothing(
    client: TestClient, write_images: Write
) -> None:
    folder = write_images("train-0", 0).parent
    write_images("val-0", 4)
    answer = client.post("/datasets/look", json={"uri": str(folder)})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["taken_for"], found["format"]) == ("Parquet files with images, in 2 split(s): train, val", "parquet")
    assert client.get("/datasets").json()["items"] == []
    bodies = found["requests"]
    answers = [client.post("/datasets", json=body) for body in bodies]
    assert [each.status_code for each in answers] == [201, 201]
    assert [each.json()["role"] for each in answers] == ["labeled", "evaluation"]


def test_a_look_at_a_place_that_is_not_there_is_refused(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/datasets/look", json={"uri": str(tmp_path / "absent")})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "uri"


def test_an_export_is_registered_as_a_list_by_what_a_look_offers(client: TestClient, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "zoo/images").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"zoo/images/{number}.png")
    document = {
        "categories": [{"id": 3, "name": "zebra"}, {"id": 17, "name": "cat"}],
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(5)],
        "annotations": [{"image_id": number, "category_id": (3, 17)[number % 2]} for number in range(5)],
    }
    (tmp_path / "zoo/annotations.json").write_text(json.dumps(document))
    [body] = client.post("/datasets/look", json={"uri": str(tmp_path / "zoo")}).json()["requests"]
    assert body["format"] == "coco"
    answer = client.post("/datasets", json=body)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["format"], dataset["class_counts"]) == ("uri_list", {"zebra": 2, "cat": 2})
    assert "1 of 5 images are not there, the first at" in dataset["warnings"][0]
    error = _refused(client, {**body, "class_level": 2})
    assert error["field"] == "class_level"
