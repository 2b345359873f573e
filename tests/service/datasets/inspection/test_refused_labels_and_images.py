"""Labels, classes and images that registration rejects, and its messages."""

from pathlib import Path

import pytest

from tests.support.made_datasets import pictures, refusal, write_files, write_parquet, write_tar
from tests.support.made_shards import picture


def test_a_null_label_in_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", image=pictures(2), label=["a", "b"])
    write_parquet(tmp_path / "2.parquet", image=pictures(3), label=["a", "b", None])
    field, message = refusal(tmp_path)
    assert field == "label_column"
    assert "2.parquet row 2: has no label" in message


def test_a_sample_without_label_in_a_tar_file(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("x/0.png", picture(0)), ("x/0.cls", b"1"), ("x/1.png", picture(1))])
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert "a.tar row 1 (x/1): has no label" in message


def test_an_image_outside_of_the_class_folders(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "b/1.png": picture(1), "lost.png": picture(2)})
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert f"{tmp_path}/lost.png: lies outside of a class folder" in message


@pytest.mark.parametrize("dataset_format", ["parquet", "image_folder", "webdataset"])
def test_a_label_outside_of_the_given_classes(tmp_path: Path, dataset_format: str) -> None:
    if dataset_format == "parquet":
        write_parquet(tmp_path / "a.parquet", image=pictures(2), label=["a", "cow"])
        row = "a.parquet row 1"
    elif dataset_format == "webdataset":
        members = [("0.png", picture(0)), ("0.cls", b"a"), ("1.png", picture(1)), ("1.cls", b"cow")]
        write_tar(tmp_path / "a.tar", members)
        row = "a.tar row 1 (1)"
    else:
        write_files(tmp_path, {"a/1.png": picture(0), "cow/1.png": picture(1)})
        row = "cow/1.png"
    field, message = refusal(tmp_path, classes=("a", "b"))
    assert field == "classes"
    assert f"{row}: its label is none of the 2 classes given" in message


def test_fewer_than_two_classes(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "a/2.png": picture(1)})
    assert refusal(tmp_path) == ("classes", "only one class is in the data; at least two are needed")
    assert refusal(tmp_path, classes=("a",)) == ("classes", "at least two classes are needed")
    assert refusal(tmp_path, classes=("a", "b", "a")) == ("classes", "the class 'a' is named more than once")


def test_a_sample_that_is_mostly_broken_in_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=[picture(0), b"GIF89a?", b"no", b""], label=["a", "b", "a", "b"])
    field, message = refusal(tmp_path)
    assert field == "image_column"
    assert message.startswith("3 of 4 sampled images cannot be decoded, the first at ")
    assert "a.parquet row 1: " in message


def test_a_sample_that_is_mostly_broken_in_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": b"", "b/1.png": picture(0)[:40], "b/2.png": picture(1)})
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert "2 of 3" in message
    assert f"{tmp_path}/a/1.png: no bytes" in message
