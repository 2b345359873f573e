"""A row of a registered dataset is named by its file and by its row or line in it."""

from pathlib import Path

import pytest

from tests.support.made_datasets import inspect, pictures, write_files, write_parquet, write_tar
from workers.data.hashes import as_hash_array, read_hash_rows, write_hash_rows
from workers.data.shards.row_names import row_name


def test_rows_are_named_in_every_format(tmp_path: Path) -> None:
    images = pictures(3)
    files = {f"{n}.png": image for n, image in enumerate(images)}
    folder = inspect(write_files(tmp_path / "f", files), "unlabeled").manifest
    assert [row_name(folder, row) for row in range(3)] == ["0.png", "1.png", "2.png"]
    for number in range(2):
        write_parquet(tmp_path / "p" / f"{number}.parquet", image=images)
    assert row_name(inspect(tmp_path / "p", "unlabeled").manifest, 4) == "1.parquet row 1"
    tar = inspect(write_tar(tmp_path / "t.tar", list(files.items())), "unlabeled").manifest
    assert row_name(tar, 2) == "t.tar row 2"
    (tmp_path / "l.txt").write_text("f/0.png\n\nf/2.png\n")
    listed = inspect(tmp_path / "l.txt", "unlabeled").manifest
    assert row_name(listed, 1) == f"{tmp_path}/l.txt line 3"
    with pytest.raises(IndexError, match="has 2 rows"):
        row_name(listed, 2)


def test_each_hash_has_its_first_row(tmp_path: Path) -> None:
    by_row = [b"b" * 16, None, b"a" * 16, b"b" * 16, b"a" * 15 + b"\0"]
    write_hash_rows(str(tmp_path / "rows"), by_row)
    rows = read_hash_rows(str(tmp_path / "rows"))
    assert rows is not None
    hashes = as_hash_array(value for value in by_row if value is not None)
    assert [by_row[row] for row in rows] == [value.ljust(16, b"\0") for value in hashes.tolist()]
    assert rows.tolist() == [4, 2, 0]
    assert read_hash_rows(str(tmp_path / "absent")) is None
