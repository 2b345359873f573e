"""A look says what a place is taken for, and what it offers can be registered."""

from pathlib import Path

import pyarrow as pa
import pytest

from service.errors import InvalidRequest
from tests.support.looked_at import counts, labels_read, look, registered
from tests.support.made_datasets import pictures, write_files, write_parquet, write_tar
from tests.support.made_shards import picture
from workers.data.dataset_roots import DatasetRoots


def images(*names: str) -> dict[str, bytes]:
    return {name: picture(number) for number, name in enumerate(names)}


def test_class_folders_are_one_labeled_set(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", images("cat/1.png", "dog/1.png", "dog/2.png"))
    found = look(root)
    assert found.taken_for == "a folder of images with a folder for each class"
    assert (found.format, found.classes, found.classes_from) == (
        "image_folder",
        ["cat", "dog"],
        "the names of the folders",
    )
    assert [(part.split, part.images, part.images_are_all) for part in found.parts] == [(None, 3, True)]
    [request] = found.requests
    assert (request.name, request.role, request.uri) == ("pets", "labeled", str(root))
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 2}]


def test_torchvisions_splits_become_a_request_each(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "pets",
        images("train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "val/dog/2.png", "test/3.png", "test/4.png"),
    )
    found = look(root)
    assert found.taken_for == "a folder of images with a folder for each class, in 3 split(s): train, val, test"
    assert [(part.split, part.classes) for part in found.parts] == [("train", 2), ("val", 2), ("test", 0)]
    assert [request.role for request in found.requests] == ["labeled", "evaluation", "unlabeled"]
    assert "test: has no labels, so no model can be evaluated on it" in found.warnings
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}, {"cat": 1, "dog": 1}, 2]


def test_splits_that_lack_a_class_are_registered_with_the_classes_of_all(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "data", images("train/a/1.png", "train/b/1.png", "train/c/1.png", "valid/a/2.png", "valid/c/2.png")
    )
    found = look(root)
    assert [request.classes for request in found.requests] == [("a", "b", "c")] * 2
    assert "valid: 1 class(es) of the other splits were not seen here: b" in found.warnings
    assert counts(found, tmp_path / "parts") == [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 0, "c": 1}]


def test_splits_below_each_class_are_chosen_by_the_field_split(tmp_path: Path) -> None:
    names = [f"{name}/{split}/{n}.png" for name in ("cat", "dog") for split in ("train", "test") for n in range(2)]
    found = look(write_files(tmp_path / "pets", images(*names)))
    assert [(request.split, request.role) for request in found.requests] == [
        ("train", "labeled"),
        ("test", "evaluation"),
    ]
    assert counts(found, tmp_path / "parts") == [{"cat": 2, "dog": 2}] * 2


def test_folders_around_the_classes_are_passed_through(tmp_path: Path) -> None:
    write_files(tmp_path / "download", images("pets-v2/images/cat/1.png", "pets-v2/images/dog/1.png"))
    found = look(tmp_path / "download")
    assert found.requests[0].uri == str(tmp_path / "download/pets-v2/images")
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}]


def test_images_in_one_folder_are_unlabeled(tmp_path: Path) -> None:
    found = look(write_files(tmp_path / "pool", images("1.png", "2.png") | {"notes.md": b"two"}))
    assert found.taken_for == "a folder of images, without labels"
    assert found.requests[0].role == "unlabeled"
    assert found.warnings == ["1 file(s) are of no use here: 1 of .md"]
    assert counts(found, tmp_path / "parts") == [2]


@pytest.mark.parametrize("places", [("cat/train", "data/val"), ("dog/unlabeled", "x/test/deep")])
def test_splits_in_different_folders_can_be_registered(tmp_path: Path, places: tuple[str, str]) -> None:
    found = look(write_files(tmp_path / "s", images(*(f"{place}/{n}.png" for place in places for n in range(2)))))
    assert counts(found, tmp_path / "parts") == [2, 2]


def test_files_of_a_split_lie_in_the_folder_of_its_name_if_there_is_one(tmp_path: Path) -> None:
    for name in ("train-0.parquet", "test.parquet", "deep/train/train-1.parquet"):
        write_parquet(tmp_path / "s" / name, image=pictures(2), label=["cat", "dog"])
    write_files(tmp_path / "s", images("deep/train/9.png"))
    assert counts(look(tmp_path / "s"), tmp_path / "parts") == [{"cat": 1, "dog": 1}] * 2


def test_one_class_is_none(tmp_path: Path) -> None:
    write_parquet(tmp_path / "s/0.parquet", image=pictures(2), label=["cat", "cat"])
    found = look(tmp_path / "s")
    assert [(request.role, request.label_column) for request in found.requests] == [("unlabeled", None)]
    assert "there is one class only, so the labels are of no use" in found.warnings
    assert counts(found, tmp_path / "parts") == [2]


def test_an_unlabeled_split_with_folders_stays_unlabeled(tmp_path: Path) -> None:
    found = look(
        write_files(tmp_path / "s", images("train/a/1.png", "train/b/1.png", "unlabeled/x/2.png", "unlabeled/y/2.png"))
    )
    assert [(request.role, request.classes) for request in found.requests] == [("labeled", None), ("unlabeled", None)]


def test_nested_folders_say_which_level_is_taken(tmp_path: Path) -> None:
    found = look(write_files(tmp_path / "zoo", images("birds/owl/1.png", "birds/duck/1.png", "fish/cod/1.png")))
    assert found.classes == ["birds", "fish"]
    [warning] = found.warnings
    assert warning.startswith("the folders are nested: the 2 of the first level are taken for the classes, not the 3")


def test_parquet_splits_in_one_folder_are_chosen_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    for name, start in (("train-00000-of-00002", 0), ("train-00001-of-00002", 4), ("test-00000-of-00001", 8)):
        write_parquet(tmp_path / f"hub/data/{name}.parquet", image=pictures(4, start), label=["cat", "dog"] * 2)
    found = look(tmp_path / "hub")
    assert [(part.split, part.images) for part in found.parts] == [("train", 8), ("test", 4)]
    assert [(request.split, request.role) for request in found.requests] == [
        ("train", "labeled"),
        ("test", "evaluation"),
    ]
    assert [(column.name, column.type) for column in found.columns] == [("image", "binary"), ("label", "string")]
    assert found.classes_from == "the values of `label`, sorted"
    assert counts(found, tmp_path / "parts") == [{"cat": 4, "dog": 4}, {"cat": 2, "dog": 2}]
    assert labels_read(registered(found, tmp_path / "parts")[1]) == ["cat", "dog", "cat", "dog"]


def test_parquet_without_labels_is_an_unlabeled_set(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pool.parquet", photo=pictures(3), width=[6, 6, 6])
    found = look(tmp_path / "pool.parquet")
    assert found.taken_for == "Parquet files with images, without labels"
    assert (found.requests[0].role, found.requests[0].image_column) == ("unlabeled", "photo")
    assert counts(found, tmp_path / "parts") == [3]


def test_parquet_with_paths_and_no_bytes_is_a_list(tmp_path: Path) -> None:
    write_files(tmp_path, images("a.png", "b.png"))
    structs = pa.array(
        [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "b.png"}],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    write_parquet(tmp_path / "list.parquet", image=structs, label=["cat", "dog"])
    found = look(tmp_path / "list.parquet")
    assert found.format == "uri_list"
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}]


def test_tar_files_are_told_by_their_first_samples(tmp_path: Path) -> None:
    for name in ("train-000000", "train-000001", "val-000000"):
        (tmp_path / "shards").mkdir(exist_ok=True)
        write_tar(
            tmp_path / f"shards/{name}.tar",
            [("1.png", picture(1)), ("1.cls", b"cat"), ("2.png", picture(2)), ("2.cls", b"dog")],
        )
    found = look(tmp_path / "shards")
    assert (found.format, found.classes) == ("webdataset", ["cat", "dog"])
    assert [(part.split, part.images) for part in found.parts] == [("train", 4), ("val", 2)]
    assert counts(found, tmp_path / "parts") == [{"cat": 2, "dog": 2}, {"cat": 1, "dog": 1}]


@pytest.mark.parametrize("header", ["filename,label", "file,class", "path,category", "image,target", "image_path,cls"])
def test_a_table_beside_images_lists_them(tmp_path: Path, header: str) -> None:
    root = write_files(tmp_path / "set", images("images/1.png", "images/2.png", "images/3.png"))
    (root / "labels.csv").write_text(f"{header}\nimages/1.png,dog\nimages/2.png,cat\nimages/3.png,dog\n")
    (root / "README.txt").write_text("images/9.png\n")
    found = look(root)
    assert found.taken_for == "images and a table that lists them"
    assert [column.name for column in found.columns] == header.split(",")
    assert found.requests[0].uri == str(root / "labels.csv")
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 2}]


def test_metadata_of_hugging_faces_imagefolder_names_the_labels(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = write_files(tmp_path / f"pets/{split}", images("1.png", "2.png"))
        (folder / "metadata.jsonl").write_text(
            '{"file_name": "1.png", "label": "cat"}\n{"file_name": "2.png", "label": "dog"}\n'
        )
    found = look(tmp_path / "pets")
    assert "imagefolder" in found.taken_for
    assert [(part.split, part.images) for part in found.parts] == [("train", 2), ("test", 2)]
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}] * 2


def test_metadata_may_be_parquet(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", images("1.png", "2.png"))
    write_parquet(folder / "metadata.parquet", file_name=["1.png", "2.png"], label=["cat", "dog"])
    found = look(folder)
    assert (found.format, found.requests[0].uri) == ("uri_list", str(folder / "metadata.parquet"))
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}]


def test_metadata_without_labels_leaves_the_images_unlabeled(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "captions", images("1.png", "2.png"))
    (folder / "metadata.csv").write_text("file_name,text\n1.png,a cat that sleeps\n2.png,a dog\n")
    found = look(folder)
    assert (found.format, found.requests[0].role) == ("image_folder", "unlabeled")


def test_images_of_a_list_that_are_not_there_are_counted(tmp_path: Path) -> None:
    listed = tmp_path / "l.csv"
    listed.write_text("path,label\n" + "".join(f"{n}.png,{'ab'[n % 2]}\n" for n in range(4)))
    found = look(listed)
    assert found.requests == []
    assert "4 of 4 images that were looked up are not there" in found.warnings[0]
    write_files(tmp_path, images("0.png", "1.png", "2.png"))
    found = look(listed)
    assert found.warnings[0].startswith("1 of 4 images that were looked up are not there")
    assert counts(found, tmp_path / "parts") == [{"a": 2, "b": 2}]


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.csv", b""), ("head.csv", b"path,label\n"), ("empty.jsonl", b""), ("0.txt", b"\n"), ("0.parquet", b"")],
)
def test_files_without_a_row_are_named_and_no_request_is_offered(tmp_path: Path, name: str, content: bytes) -> None:
    found = look(write_files(tmp_path / "set", {name: content}))
    assert found.requests == []
    assert any("holds an image" in warning or name in warning for warning in found.warnings)


def test_a_split_without_images_is_left_out(tmp_path: Path) -> None:
    for name, rows in (("train", 4), ("test", 0)):
        labels = pa.array(["cat", "dog"] * (rows // 2), pa.string())
        write_parquet(tmp_path / f"pets/{name}.parquet", image=pa.array(pictures(rows), pa.binary()), label=labels)
    found = look(tmp_path / "pets")
    assert [request.split for request in found.requests] == ["train"]
    assert "test: holds no image, and is left out" in found.warnings


def test_what_cannot_be_read_says_what_was_seen_and_what_is_read(tmp_path: Path) -> None:
    found = look(write_files(tmp_path / "films", {"a.mp4": b"film", "b.mp4": b"film", "c.docx": b"text"}))
    assert (found.taken_for, found.format, found.requests) == ("nothing that is read", None, [])
    [problem] = found.warnings
    assert "2 of .mp4, 1 of .docx" in problem
    assert "what is read ends in" in problem


def test_a_damaged_table_is_named_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    found = look(tmp_path)
    assert found.requests == []
    assert "broken.parquet" in found.warnings[0]


def test_an_empty_place_and_an_absent_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="there is no file in it"):
        look(tmp_path / "empty")
    with pytest.raises(InvalidRequest, match="there is no such file or folder"):
        look(tmp_path / "absent")


def test_a_place_outside_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside = write_files(tmp_path / "inside", images("1.png"))
    outside = write_files(tmp_path / "outside", images("2.png"))
    roots = DatasetRoots((str(inside),))
    assert look(inside, roots).files == 1
    with pytest.raises(InvalidRequest, match="outside of the places allowed"):
        look(outside, roots)
    (inside / "link.png").symlink_to(outside / "2.png")
    with pytest.raises(InvalidRequest, match="outside of the places allowed"):
        look(inside, roots)


def test_a_very_large_folder_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.datasets.looks.look.MOST_FILES", 3)
    found = look(write_files(tmp_path / "many", images(*(f"{name}/{n}.png" for name in "abcd" for n in range(2)))))
    assert not found.files_are_all
    assert [(part.images, part.images_are_all) for part in found.parts] == [(4, False)]
    assert "there are more than 3 files: only the first were looked at" in found.warnings
