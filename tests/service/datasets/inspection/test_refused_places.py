"""Paths and files that registration rejects, and its messages."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.made_datasets import inspect, pictures, refusal, write_files, write_parquet, write_tar
from tests.support.made_shards import picture


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    field, message = refusal(tmp_path / "nowhere")
    assert field == "uri"
    assert f"{tmp_path}/nowhere: there is no such file or folder" in message


def test_a_scheme_that_is_not_known() -> None:
    field, message = refusal("ftp://host/folder")
    assert field == "uri"
    assert "ftp://host/folder: ftp:// is no kind of place" in message


def test_a_folder_without_any_dataset_files(tmp_path: Path) -> None:
    field, message = refusal(write_files(tmp_path, {"a.txt": b"", "b.csv": b""}))
    assert field == "uri"
    assert "none of its 2 file(s) (1 of .txt, 1 of .csv) is read" in message


def test_a_folder_without_files_of_the_format_asked_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0)})
    field, message = refusal(tmp_path, format="parquet")
    assert field == "uri"
    assert "is of parquet (.parq, .parquet, .pq)" in message


def test_a_mixed_folder_needs_a_format(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(1))
    write_files(tmp_path, {"x/1.png": picture(0)})
    field, message = refusal(tmp_path, "unlabeled")
    assert field == "format"
    assert "1 file(s) of parquet and 1 file(s) of image_folder" in message
    assert inspect(tmp_path, "unlabeled", format="image_folder").manifest.rows == 1


def test_a_file_that_is_meant_as_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"1.png": picture(0)})
    field, message = refusal(tmp_path / "1.png", "unlabeled")
    assert field == "uri"
    assert "1.png: an image folder is a folder" in message


@pytest.mark.parametrize("kept", [0, 20, 300])
def test_a_truncated_parquet_file(tmp_path: Path, kept: int) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(3))
    bad = write_parquet(tmp_path / "bad.parquet", image=pictures(3))
    bad.write_bytes(bad.read_bytes()[:kept])
    field, message = refusal(tmp_path, "unlabeled")
    assert field == "uri"
    assert f"{bad}: not a readable Parquet file" in message


def test_a_parquet_file_with_damaged_pages(tmp_path: Path) -> None:
    bad = write_parquet(tmp_path / "bad.parquet", image=pictures(3), label=["a", "b", "a"])
    data = bytearray(bad.read_bytes())
    data[4:200] = bytes(196)
    bad.write_bytes(data)
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert "bad.parquet" in message


@pytest.mark.parametrize("kept", [0, 100, 700, 1024, 1300])
def test_a_truncated_tar_file(tmp_path: Path, kept: int) -> None:
    write_tar(tmp_path / "a.tar", [("1.png", picture(1))])
    bad = write_tar(tmp_path / "bad.tar", [(f"{i}.png", picture(i)) for i in range(4)])
    bad.write_bytes(bad.read_bytes()[:kept])
    field, message = refusal(tmp_path, "unlabeled")
    assert field == "uri"
    assert f"{bad}: not a readable tar file" in message


def test_no_rows_at_all(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p" / "a.parquet", image=pa.array([], pa.binary()), label=pa.array([], pa.int64()))
    write_tar(tmp_path / "a.tar", [("1.json", b"{}")])
    for uri in (tmp_path / "p", tmp_path / "a.tar"):
        for role in ("labeled", "unlabeled"):
            field, message = refusal(uri, role)
            assert field == "uri"
            assert "no images" in message


def test_a_folder_with_a_name_that_is_not_utf8_is_refused_and_named(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pictures", {"cat/1.png": picture(1)})
    Path(os.fsdecode(os.fsencode(root) + b"/cat/caf\xe9.png")).write_bytes(picture(2))
    field, message = refusal(root)
    assert field == "uri"
    assert message.startswith(f"{root}: cannot be listed")
    assert "caf\\xe9.png" in message
