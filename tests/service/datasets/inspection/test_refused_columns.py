"""Parquet columns that registration rejects, and its messages."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.made_datasets import pictures, refusal, write_files, write_parquet
from tests.support.made_shards import picture


def test_a_missing_column_says_which_there_are(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(2), kind=["a", "b"])
    for field in ("image_column", "label_column", "key_column"):
        named, message = refusal(tmp_path, **{"label_column": "kind", field: "nothing"})
        assert named == field
        assert "a.parquet: no single column 'nothing'; its columns are image (binary), kind (string)" in message


def test_a_later_file_without_the_column(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", image=pictures(2), label=["a", "b"])
    write_parquet(tmp_path / "2.parquet", image=pictures(2))
    field, message = refusal(tmp_path)
    assert field == "label_column"
    assert "2.parquet: no single column 'label'" in message


@pytest.mark.parametrize(
    ("field", "column", "problem"),
    [
        ("image_column", "word", "'word' is string, it must be binary"),
        ("image_column", "place", "it must be binary, or a struct"),
        ("label_column", "score", "'score' is double, it must be integers or strings"),
        ("key_column", "score", "'score' is double, it must be integers or strings"),
    ],
)
def test_a_column_of_the_wrong_type(tmp_path: Path, field: str, column: str, problem: str) -> None:
    write_parquet(
        tmp_path / "a.parquet",
        image=pictures(2),
        word=["a", "b"],
        score=[0.1, 0.2],
        place=pa.array([{"path": "x"}, {"path": "y"}]),
    )
    named, message = refusal(tmp_path, **{"label_column": "word", field: column})
    assert named == field
    assert "a.parquet" in message
    assert problem in message


def test_no_column_that_could_hold_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=["a path", "another"], label=["a", "b"])
    field, message = refusal(tmp_path)
    assert field == "image_column"
    assert "no column holds images" in message
    assert "image (string)" in message


def test_two_columns_that_could_hold_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", left=pictures(2), right=pictures(2), label=["a", "b"])
    field, message = refusal(tmp_path)
    assert field == "image_column"
    assert "left, right could all hold images" in message


@pytest.mark.parametrize("role", ["labeled", "evaluation"])
def test_a_labeled_role_without_label_column(tmp_path: Path, role: str) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(2), size=[1, 2])
    field, message = refusal(tmp_path, role)
    assert field == "label_column"
    assert "size (int64)" in message


@pytest.mark.parametrize("field", ["image_column", "label_column", "key_column"])
def test_columns_are_refused_where_there_are_none(tmp_path: Path, field: str) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "b/1.png": picture(1)})
    assert refusal(tmp_path, **{field: "x"})[0] == field
