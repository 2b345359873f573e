"""Exports of labeling tools, written by hand as the tools' documentation describes them, become labeled lists."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest
from tests.support.looked_at import counts, look
from tests.support.made_datasets import inspect, labels_read_back, refusal, write_files
from tests.support.made_shards import picture
from workers.data.dataset_roots import DatasetRoots
from workers.data.shards.shard_readers import read_shard


def images(*names: str) -> dict[str, bytes]:
    return {name: picture(number) for number, name in enumerate(names)}


def write_json(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def coco(names: Mapping[str, list[int]], **changes: Any) -> dict[str, Any]:
    """A COCO file whose categories have gaps: 3 is zebra, 17 is cat, 90 has no image."""
    numbered = list(enumerate(names.items(), 100))
    return {
        "categories": [
            {"id": 17, "name": "cat", "supercategory": "animal"},
            {"id": 3, "name": "zebra"},
            {"id": 90, "name": "toothbrush"},
        ],
        "images": [{"id": number, "file_name": name, "width": 6, "height": 6} for number, (name, _) in numbered],
        "annotations": [
            {"id": 1000 * number + place, "image_id": number, "category_id": category, "bbox": [0, 0, 3, 3]}
            for number, (_, categories) in numbered
            for place, category in enumerate(categories)
        ],
        **changes,
    }


def labels_by_key(found: Any) -> dict[str, str]:
    manifest = found.manifest
    shards = [read_shard(manifest, index) for index in range(len(manifest.shards))]
    return {
        key: manifest.classes[label]
        for shard in shards
        for key, label in zip(shard.keys, shard.labels or [], strict=True)
    }


def test_coco_takes_the_classes_in_the_order_of_ids_with_gaps(tmp_path: Path) -> None:
    root = write_files(tmp_path / "zoo", images("images/a.png", "images/b b.png", "images/ü.png"))
    write_json(root / "annotations.json", coco({"a.png": [17], "b b.png": [3, 3], "ü.png": [17]}))
    found = look(root)
    assert found.taken_for == "a COCO file of images and categories"
    assert (found.format, found.classes) == ("coco", ["zebra", "cat", "toothbrush"])
    assert counts(found, tmp_path / "parts") == [{"zebra": 1, "cat": 2, "toothbrush": 0}]
    registered = inspect(root)
    assert labels_by_key(registered) == {"images/a.png": "cat", "images/b b.png": "zebra", "images/ü.png": "cat"}
    assert registered.manifest.format == "uri_list"


def test_images_of_several_categories_are_left_out_with_a_count(tmp_path: Path) -> None:
    root = write_files(tmp_path / "zoo", images("a.png", "b.png", "c.png", "d.png"))
    file = write_json(root / "coco.json", coco({"a.png": [17], "b.png": [3], "c.png": [3, 17], "d.png": []}))
    found = inspect(file)
    assert labels_by_key(found) == {"a.png": "cat", "b.png": "zebra"}
    assert (
        f"1 of 4 images have several labels, of which none is taken, the first at {file} images[2]: they are left out"
        in found.warnings
    )
    assert f"1 of 4 images have no label, the first at {file} images[3]: they are left out" in found.warnings


def test_a_detection_set_is_refused_with_its_count(tmp_path: Path) -> None:
    root = write_files(tmp_path / "zoo", images("a.png", "b.png", "c.png"))
    write_json(root / "coco.json", coco({"a.png": [17, 3], "b.png": [3, 90], "c.png": [3]}))
    field, message = refusal(root)
    assert (field, "2 of 3 images have several labels" in message) == ("uri", True)


def test_coco_splits_are_told_by_the_names_of_files_and_find_their_own_images(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "coco", images("train2017/1.png", "train2017/2.png", "val2017/1.png", "val2017/2.png")
    )
    for split in ("train", "val"):
        write_json(root / f"annotations/instances_{split}2017.json", coco({"1.png": [17], "2.png": [3]}))
    found = look(root)
    assert [(request.uri.rpartition("/")[2], request.role) for request in found.requests] == [
        ("instances_train2017.json", "labeled"),
        ("instances_val2017.json", "evaluation"),
    ]
    assert counts(found, tmp_path / "parts") == [{"zebra": 1, "cat": 1, "toothbrush": 0}] * 2
    assert set(labels_by_key(inspect(root, split="validation"))) == {"val2017/1.png", "val2017/2.png"}
    field, message = refusal(root)
    assert (field, "holds 2 exports" in message) == ("uri", True)


def test_a_split_of_roboflow_has_its_file_beside_its_images(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_files(tmp_path / f"set/{split}", images("1.png", "2.png"))
        write_json(tmp_path / f"set/{split}/_annotations.coco.json", coco({"1.png": [17], "2.png": [3]}))
    found = look(tmp_path / "set")
    assert [request.role for request in found.requests] == ["labeled", "evaluation"]
    assert counts(found, tmp_path / "parts") == [{"zebra": 1, "cat": 1, "toothbrush": 0}] * 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"annotations": [{"image_id": 100, "category_id": 5}]}, "annotations[0]: its category_id is the id of no"),
        ({"annotations": [{"category_id": 3}]}, "annotations[0]: its image_id is neither a number nor a text"),
        ({"images": [{"id": 100}]}, "images[0]: has no file_name"),
        ({"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]}, "images[1]: another image"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "categories[1]: its id is no number, or"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "a"}]}, "categories[1]: another category has its"),
        ({"categories": [{"id": 3, "name": "\x1b[2J"}]}, "categories[0]: its name is with a control character"),
        ({"images": [1]}, "`images` is no list of objects"),
    ],
)
def test_a_damaged_coco_file_is_refused_by_its_entry(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    root = write_files(tmp_path / "zoo", images("a.png"))
    file = write_json(root / "coco.json", coco({"a.png": [3]}, **changes))
    field, message = refusal(file, format="coco")
    assert field == "uri"
    assert message.startswith(str(file))
    assert problem in message


def test_fiftyone_takes_labels_by_index_by_name_and_with_confidence(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "fifty", images("data/000001.png", "data/x/000002.png", "data/3.v2.png", "data/4.png")
    )
    labels = {"000001": 1, "x/000002": {"label": 0, "confidence": 0.5}, "3.v2": 1, "4": None}
    write_json(root / "labels.json", {"classes": ["sunflower", "cat"], "labels": labels})
    found = look(root)
    assert (found.format, found.classes) == ("fiftyone", ["sunflower", "cat"])
    assert counts(found, tmp_path / "parts") == [{"sunflower": 1, "cat": 2}]
    assert labels_by_key(inspect(root)) == {
        "data/000001.png": "cat",
        "data/x/000002.png": "sunflower",
        "data/3.v2.png": "cat",
    }
    named = {"labels": {"000001": "b", "x/000002": "a", "3.v2": "b"}}
    write_json(root / "labels.json", named)
    assert inspect(root).class_counts == {"a": 1, "b": 2}


def test_fiftyone_splits_are_folders(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_files(tmp_path / f"fifty/{split}", images("data/1.png", "data/2.png"))
        write_json(tmp_path / f"fifty/{split}/labels.json", {"classes": ["a", "b"], "labels": {"1": 0, "2": 1}})
    found = look(tmp_path / "fifty")
    assert [part.split for part in found.parts] == ["test", "train", "validation"]
    assert counts(found, tmp_path / "parts") == [{"a": 1, "b": 1}] * 3
    assert set(labels_by_key(inspect(tmp_path / "fifty", split="test"))) == {"test/data/1.png", "test/data/2.png"}


@pytest.mark.parametrize("target", [7, -1, True, 1.5])
def test_a_label_of_fiftyone_that_is_no_class_is_refused(tmp_path: Path, target: object) -> None:
    root = write_files(tmp_path / "fifty", images("data/1.png", "data/2.png"))
    write_json(root / "labels.json", {"classes": ["a", "b"], "labels": {"2": 0, "1": target}})
    assert f"{root}/labels.json labels, entry 1: its label" in refusal(root)[1]


def task(image: str, *choices: str, **changes: Any) -> dict[str, Any]:
    """A task of Label Studio's JSON export."""
    result = [
        {"id": "x", "type": "choices", "from_name": "choice", "to_name": "image", "value": {"choices": [choice]}}
        for choice in choices
    ]
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "result": result}
    return {"id": 1, "data": {"image": image}, "annotations": [annotation], "predictions": [], **changes}


def test_label_studios_json_finds_images_by_the_ends_of_their_paths(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "ls",
        images("media/upload/3/0123abcd-cat_1.png", "pictures/dog 1.png", "pictures/deep/dog 1.png", "plain.png"),
    )
    tasks = [
        task("/data/upload/3/0123abcd-cat_1.png", "Cat"),
        task("/data/local-files/?d=pictures/deep/dog%201.png", "Dog"),
        task("http://localhost:8080/data/upload/9/deadbeef-plain.png", "Dog"),
        task("C:\\labels\\pictures\\dog 1.png", "Cat"),
    ]
    file = write_json(root / "project-3-at-2026-11-01.json", tasks)
    for place in (root, file):
        found = look(place)
        assert (found.taken_for, found.format) == ("an export of Label Studio", "label_studio")
        assert found.classes_from == "the labels, sorted"
        assert counts(found, tmp_path / "parts") == [{"Cat": 2, "Dog": 2}]
    assert labels_by_key(inspect(root)) == {
        "media/upload/3/0123abcd-cat_1.png": "Cat",
        "pictures/deep/dog 1.png": "Dog",
        "plain.png": "Dog",
        "pictures/dog 1.png": "Cat",
    }


def test_skipped_annotations_do_not_count_and_ground_truth_counts_alone(tmp_path: Path) -> None:
    root = write_files(tmp_path / "ls", images("1.png", "2.png", "3.png", "4.png", "5.png"))
    skipped = task("3.png", "a")
    skipped["annotations"][0]["was_cancelled"] = True
    trusted = task("4.png", "a")
    trusted["annotations"].append({**task("4.png", "b")["annotations"][0], "ground_truth": True})
    quarrel = task("5.png", "a")
    quarrel["annotations"].append(task("5.png", "b")["annotations"][0])
    write_json(root / "export.json", [task("1.png", "a"), task("2.png", "b"), skipped, trusted, quarrel])
    found = inspect(root)
    assert labels_by_key(found) == {"1.png": "a", "2.png": "b", "4.png": "b"}
    assert any(
        text.startswith("1 of 5 images have no label, the first at") and "task 2" in text for text in found.warnings
    )
    assert any(text.startswith("1 of 5 images have several labels") and "task 4" in text for text in found.warnings)


@pytest.mark.parametrize("kind", ["json", "csv", "tsv"])
def test_label_studios_flat_exports(tmp_path: Path, kind: str) -> None:
    """The columns, their order and the forms of cells are those of label-studio-sdk's converter (2.1)."""
    root = write_files(tmp_path / "ls", images("1.png", "2.png", "3.png", "4.png"))
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "lead_time": 2.1}
    rows: list[dict[str, Any]] = [
        {"animal": "Dog" if number % 2 else "Cat", "annotation_id": 9 + number, "annotator": "a@b.c", "id": number}
        | {"img": f"/data/upload/1/0a1b2c3d-{number}.png", **times}
        for number in range(1, 5)
    ]
    rows[3]["animal"] = {"choices": ["Cat", "Dog"]}
    if kind == "json":
        write_json(root / "result.json", rows)
    else:
        with (root / f"result.{kind}").open("w", newline="") as file:
            delimiter = "," if kind == "csv" else "\t"
            writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(rows[0])
            writer.writerows(
                [json.dumps(cell) if isinstance(cell, dict) else cell for cell in row.values()] for row in rows
            )
    found = look(root)
    assert found.format == "label_studio"
    assert counts(found, tmp_path / "parts") == [{"Cat": 1, "Dog": 2}]
    assert any(text.startswith("1 of 4 images have several labels") for text in found.warnings)


def test_samples_of_a_fiftyone_dataset_have_one_field_of_labels(tmp_path: Path) -> None:
    root = write_files(tmp_path / "fifty", images("data/1.png", "data/2.png", "data/3.png"))
    samples = [
        {"filepath": f"data/{number}.png", "tags": ["train"], "metadata": {"_cls": "ImageMetadata", "width": 6}}
        | {"ground_truth": {"_cls": "Classification", "tags": [], "label": label}}
        for number, label in enumerate(("cat", "dog", "cat"), 1)
    ]
    write_json(root / "metadata.json", {"name": "pets", "default_classes": []})
    write_json(root / "samples.json", {"samples": samples})
    found = look(root)
    assert found.format == "fiftyone"
    assert counts(found, tmp_path / "parts") == [{"cat": 2, "dog": 1}]
    for sample in samples:
        sample["prediction"] = {"_cls": "Classification", "label": "dog", "confidence": 0.5}
    write_json(root / "samples.json", {"samples": samples})
    field, message = refusal(root)
    assert (field, "several fields hold labels (ground_truth, prediction)" in message) == ("label_column", True)
    assert inspect(root, label_column="ground_truth").class_counts == {"cat": 2, "dog": 1}


def test_several_questions_are_told_apart_by_label_column(tmp_path: Path) -> None:
    root = write_files(tmp_path / "ls", images("1.png", "2.png"))
    tasks = [task("1.png", "a"), task("2.png", "b")]
    for each in tasks:
        more = {"type": "choices", "from_name": "quality", "value": {"choices": ["good"]}}
        each["annotations"][0]["result"].append(more)
    file = write_json(root / "export.json", tasks)
    field, message = refusal(file)
    assert (field, "several questions have choices (choice, quality)" in message) == ("label_column", True)
    assert inspect(file, label_column="choice").class_counts == {"a": 1, "b": 1}
    assert refusal(file, label_column="species")[0] == "label_column"


def test_images_elsewhere_are_found_below_base_uri(tmp_path: Path) -> None:
    pictures = write_files(tmp_path / "media", images("a/1.png", "a/2.png"))
    file = write_json(tmp_path / "exports/2026/labels.json", [task("a/1.png", "x"), task("a/2.png", "y")])
    field, message = refusal(file)
    assert (field, "set base_uri to their folder" in message) == ("uri", True)
    assert "2 of 2 images are not there, the first at" in message
    assert inspect(file, base_uri=str(pictures)).class_counts == {"x": 1, "y": 1}


@pytest.mark.attack
def test_an_export_never_leads_out_of_the_roots(tmp_path: Path) -> None:
    inside = write_files(tmp_path / "inside", images("1.png", "2.png", "3.png"))
    write_files(tmp_path / "outside", images("secret.png"))
    places = ["1.png", "2.png", "3.png", f"{tmp_path}/outside/secret.png", "../outside/secret.png"]
    file = write_json(inside / "labels.json", [task(place, "ab"[number % 2]) for number, place in enumerate(places)])
    found = look(file, DatasetRoots((str(inside),)))
    assert found.parts[0].images == 3
    assert found.warnings == [f"2 of 5 images are not there, the first at {file} task 3: they are left out"]
    with pytest.raises(InvalidRequest, match="outside of the places allowed"):
        look(tmp_path / "outside", DatasetRoots((str(inside),)))


def test_an_image_that_is_named_twice_is_taken_once_or_not_at_all(tmp_path: Path) -> None:
    root = write_files(tmp_path / "ls", images("1.png", "2.png", "3.png"))
    labels = {"1.png": "aa", "2.png": "ab", "3.png": "b"}
    tasks = [task(place, label) for place, given in labels.items() for label in given]
    file = write_json(root / "e.json", tasks)
    assert labels_by_key(inspect(file)) == {"1.png": "a", "3.png": "b"}


def test_images_with_the_same_name_in_two_folders_are_ambiguous(tmp_path: Path) -> None:
    root = write_files(tmp_path / "zoo", images("x/1.png", "y/1.png", "x/2.png", "y/2.png"))
    file = write_json(root / "coco.json", coco({"1.png": [3], "2.png": [17]}))
    assert "2 of 2 images are not there" in refusal(file)[1]
    assert set(labels_by_key(inspect(file, base_uri=str(root / "x")))) == {"1.png", "2.png"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "[1]", "\ufeff{}", '{"labels": []}', "[" * 100_000])
def test_json_that_is_no_export_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "strange.json"
    file.write_text(content, encoding="utf-8")
    for asked in ({}, {"format": "coco"}, {"format": "fiftyone"}, {"format": "label_studio"}):
        field, message = refusal(file, **asked)
        assert field == "uri"
        assert str(file) in message
    assert look(file).requests == []


def test_json_beside_class_folders_is_no_export(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", images("cat/1.png", "dog/1.png"))
    write_json(root / "coco.json", coco({"cat/1.png": [3], "dog/1.png": [17]}))
    assert look(root).format == "image_folder"
    assert inspect(root).class_counts == {"cat": 1, "dog": 1}
    assert inspect(root, format="coco").class_counts == {"zebra": 1, "cat": 1, "toothbrush": 0}


def test_the_images_of_an_export_are_a_pool_when_its_labels_do_not_count(tmp_path: Path) -> None:
    root = write_files(tmp_path / "ls", images("1.png", "2.png"))
    file = write_json(root / "e.json", [task("1.png", "a"), {**task("2.png"), "annotations": []}])
    assert inspect(file, "unlabeled").manifest.rows == 2
    assert labels_read_back(inspect(file, "unlabeled")) == []
