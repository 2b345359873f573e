"""A look at a list finds labels under unusual names and the folder in which the paths begin."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.looked_at import counts, look
from tests.support.made_datasets import pictures, write_files, write_parquet
from tests.support.made_shards import picture


def images(*names: str) -> dict[str, bytes]:
    return {name: picture(number) for number, name in enumerate(names)}


def test_the_only_column_beside_that_of_images_holds_the_labels_if_they_repeat(tmp_path: Path) -> None:
    root = write_files(tmp_path / "dogs", images(*(f"{number}.png" for number in range(6))))
    (root / "dogs.csv").write_text("file,breed\n" + "".join(f"{n}.png,{['pug', 'poodle'][n % 2]}\n" for n in range(6)))
    found = look(root / "dogs.csv")
    assert found.requests[0].label_column == "breed"
    assert counts(found, tmp_path / "parts") == [{"poodle": 3, "pug": 3}]
    (root / "dogs.csv").write_text("file,caption\n" + "".join(f"{n}.png,a dog {n}\n" for n in range(6)))
    unlabeled = look(root / "dogs.csv")
    assert (unlabeled.requests[0].role, unlabeled.requests[0].label_column) == ("unlabeled", None)
    assert "no column is known to hold the labels" in unlabeled.warnings[0]


@pytest.mark.parametrize("place", ["", "labels.csv"])
def test_paths_that_begin_in_another_folder_get_a_base(tmp_path: Path, place: str) -> None:
    root = write_files(tmp_path / "set", images("pictures/all/x/1.png", "pictures/all/y 2.png"))
    (root / "labels.csv").write_text("filename,label\nx/1.png,cat\ny 2.png,dog\n")
    found = look(root / place)
    assert found.requests[0].base_uri == str(root / "pictures/all")
    assert found.warnings == ([] if place else found.warnings)
    assert counts(found, tmp_path / "parts") == [{"cat": 1, "dog": 1}]


def test_a_column_of_splits_is_named_because_all_rows_are_one_set(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", images("1.png", "2.png"))
    (root / "all.csv").write_text("path,label,Split\n1.png,cat,train\n2.png,dog,test\n")
    found = look(root / "all.csv")
    assert found.warnings == ["the column `Split` is not used, so all rows are one set: write a list for each split"]


def test_a_list_of_another_machine_says_that_its_paths_lead_nowhere(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", images("1.png"))
    (root / "labels.csv").write_text("filename,label\nC:\\pets\\1.png,cat\nC:\\pets\\2.png,dog\n")
    assert "each is a path of Windows" in look(root / "labels.csv").warnings[0]


def test_parquet_without_a_known_label_column_says_which_columns_there_are(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p.parquet", image=pictures(2), species=["cat", "dog"])
    found = look(tmp_path / "p.parquet")
    assert found.requests[0].role == "unlabeled"
    assert any("its columns are image (binary), species (string)" in warning for warning in found.warnings)


def test_the_only_column_with_names_of_classes_holds_the_labels(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "cifar" / "train.parquet", img=pictures(4), fine=[0, 1, 0, 1])
    told = '{"info": {"features": {"fine": {"names": ["apple", "bear"], "_type": "ClassLabel"}}}}'
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": told}), file)
    found = look(tmp_path / "cifar")
    assert (found.classes, found.requests[0].label_column) == (["apple", "bear"], "fine")
    assert counts(found, tmp_path / "parts") == [{"apple": 2, "bear": 2}]
