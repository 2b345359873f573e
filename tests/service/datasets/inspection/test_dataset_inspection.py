"""Registration inspects small real datasets of every format."""

from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from service.datasets.inspection import DatasetRequest
from service.datasets.inspection.sampling import sample_rows
from tests.support.made_datasets import (
    inspect,
    labels_read_back,
    pictures,
    write_files,
    write_parquet,
    write_tar,
)
from tests.support.made_shards import picture
from workers.data.images.decode import content_hash
from workers.data.shards.shard_readers import read_shard


def test_parquet_files_are_shards_with_guessed_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "b" / "2.parquet", image=pictures(3), label=[10, 2, 2], id=["x", "y", "z"])
    write_parquet(tmp_path / "1.parquet", image=pictures(2, 5), label=[0, 2], id=["v", "w"])
    write_files(tmp_path, {"README.txt": b"", ".hidden.parquet": b""})
    found = inspect(tmp_path)
    manifest = found.manifest
    assert [(shard.uri, shard.rows) for shard in manifest.shards] == [
        (f"{tmp_path}/1.parquet", 2),
        (f"{tmp_path}/b/2.parquet", 3),
    ]
    assert (manifest.dataset_id, manifest.role, manifest.format, manifest.rows) == ("ds-1", "labeled", "parquet", 5)
    assert (manifest.image_column, manifest.label_column, manifest.key_column) == ("image", "label", "id")
    assert found.class_counts == {"0": 1, "2": 3, "10": 1}
    assert manifest.classes == ("0", "2", "10")
    assert labels_read_back(found) == ["0", "2", "10", "2", "2"]
    assert (found.sampled, found.sampled_bad) == (5, 0)


def test_one_parquet_file_can_be_the_dataset(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", bytes=pictures(2), label=["b", "a"])
    found = inspect(path)
    assert found.manifest.shards[0].uri == str(path)
    assert found.manifest.classes == ("a", "b")


def test_struct_images_and_named_columns(tmp_path: Path) -> None:
    images = pa.array([{"bytes": data, "path": None} for data in pictures(2)])
    write_parquet(tmp_path / "a.parquet", other=[b"x", b"y"], pic=images, kind=["b", "a"], label=["n", "n"], n=[1, 2])
    found = inspect(tmp_path, image_column="pic", label_column="kind", key_column="n")
    manifest = found.manifest
    assert (manifest.image_column, manifest.label_column, manifest.key_column) == ("pic", "kind", "n")
    assert found.class_counts == {"a": 1, "b": 1}
    assert found.content_hashes == [content_hash(data) for data in pictures(2)]


def test_the_only_binary_column_holds_the_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", scan=pictures(2), label_of_scan=["b", "a"])
    manifest = inspect(tmp_path).manifest
    assert (manifest.image_column, manifest.label_column, manifest.key_column) == ("scan", "label_of_scan", None)


def test_unlabeled_parquet_ignores_labels(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(2), label=[None, 1])
    found = inspect(tmp_path, "unlabeled", label_column="label", classes=("a",))
    assert (found.manifest.classes, found.manifest.label_column, found.class_counts) == ((), None, None)


def test_class_folders_name_the_classes(tmp_path: Path) -> None:
    first, second, third = pictures(3)
    files = {"dog/1.png": first, "cat/deep/2.PNG": second, "cat/1.jpeg": third, "dog/notes.txt": b"", ".x/y.png": b""}
    found = inspect(write_files(tmp_path, files))
    assert found.manifest.format == "image_folder"
    assert [shard.members for shard in found.manifest.shards] == [("cat/1.jpeg", "cat/deep/2.PNG", "dog/1.png")]
    assert found.manifest.shards[0].uri == str(tmp_path)
    assert found.class_counts == {"cat": 2, "dog": 1}
    assert labels_read_back(found) == ["cat", "cat", "dog"]


def test_an_unlabeled_folder_may_be_nested_in_any_way(tmp_path: Path) -> None:
    first, second = pictures(2)
    found = inspect(write_files(tmp_path, {"1.png": first, "a/b/c/2.webp": second}), "unlabeled")
    assert found.manifest.shards[0].members == ("1.png", "a/b/c/2.webp")
    assert (found.manifest.classes, found.class_counts) == ((), None)


def test_a_folder_shard_has_up_to_a_thousand_files_of_all_classes(tmp_path: Path) -> None:
    data = picture(0)
    found = inspect(write_files(tmp_path, {f"{name}/{i:04d}.png": data for name in "ab" for i in range(600)}))
    assert [shard.rows for shard in found.manifest.shards] == [600, 600]
    for shard in found.manifest.shards:
        assert sorted({member[0] for member in shard.members}) == ["a", "b"]
    assert found.class_counts == {"a": 600, "b": 600}


def test_tar_files_are_shards(tmp_path: Path) -> None:
    first, second, third = pictures(3)
    write_tar(tmp_path / "0.tar", [("a/1.png", first), ("a/1.cls", b"10"), ("a/2.jpg", second), ("a/2.cls", b"9\n")])
    write_tar(tmp_path / "1.tar", [("b/1.cls", b"9"), ("b/1.png", third), ("b/1.json", b"{}")])
    found = inspect(tmp_path)
    assert [(shard.uri, shard.rows) for shard in found.manifest.shards] == [
        (f"{tmp_path}/0.tar", 2),
        (f"{tmp_path}/1.tar", 1),
    ]
    assert found.manifest.format == "webdataset"
    assert found.class_counts == {"9": 2, "10": 1}
    assert labels_read_back(found) == ["10", "9", "9"]
    assert found.content_hashes == [content_hash(data) for data in (first, second, third)]


def test_the_same_classes_have_the_same_order_in_every_format(tmp_path: Path) -> None:
    names = [str(number) for number in range(11)]
    images = pictures(11)
    write_parquet(tmp_path / "p" / "a.parquet", image=images, label=list(range(11)))
    write_files(tmp_path / "f", {f"{name}/x.png": data for name, data in zip(names, images, strict=True)})
    (tmp_path / "t").mkdir()
    members = [(f"{name}.png", data) for name, data in zip(names, images, strict=True)]
    labels = [(f"{name}.cls", name.encode()) for name in names]
    write_tar(tmp_path / "t" / "a.tar", [member for pair in zip(members, labels, strict=True) for member in pair])
    orders = {inspect(tmp_path / folder).manifest.classes for folder in "pft"}
    assert orders == {tuple(names)}


def test_explicit_classes_win(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=pictures(2), label=["b", "a"])
    found = inspect(tmp_path, "evaluation", classes=("b", "c", "a"))
    assert found.manifest.classes == ("b", "c", "a")
    assert found.class_counts == {"b": 1, "c": 0, "a": 1}


def test_an_empty_shard_among_others_is_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=pa.array([], pa.binary()))
    write_parquet(tmp_path / "b.parquet", image=pictures(2))
    found = inspect(tmp_path, "unlabeled")
    assert [shard.rows for shard in found.manifest.shards] == [0, 2]
    assert found.sampled == 2


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "set" / "a.parquet", image=pictures(1))
    monkeypatch.chdir(tmp_path)
    assert inspect("set/", "unlabeled").manifest.shards[0].uri == f"{tmp_path}/set/a.parquet"
    assert inspect("set/a.parquet", "unlabeled").manifest.shards[0].uri == f"{tmp_path}/set/a.parquet"


def test_a_path_written_as_a_uri_is_taken_as_a_path_and_reads_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "with blank #1.parquet", image=pictures(2))
    write_files(tmp_path / "folder", {"ü b.png": picture(3)})
    found = inspect(f"file://{tmp_path}/", "unlabeled", format="parquet")
    assert found.manifest.shards[0].uri == f"{tmp_path}/with blank #1.parquet"
    assert read_shard(found.manifest, 0).images == pictures(2)
    folder = inspect(f"file://{tmp_path}/folder/", "unlabeled")
    assert folder.manifest.shards[0].uri == f"{tmp_path}/folder"
    assert read_shard(folder.manifest, 0).images == [picture(3)]


def test_the_sample_is_spread_and_always_the_same() -> None:
    rows = [1000] * 50
    sample = sample_rows(rows)
    assert sample == sample_rows(rows)
    assert 40 <= sum(len(chosen) for chosen in sample.values()) <= 64
    assert sample[0][0] == 0
    assert sample[49][-1] == 999
    assert len(sample) > 5


@pytest.mark.parametrize("rows", [[1], [0, 3, 0], [7, 9], [100]])
def test_the_sample_stays_within_the_rows(rows: list[int]) -> None:
    for shard, chosen in sample_rows(rows).items():
        assert chosen
        assert all(0 <= row < rows[shard] for row in chosen)


def test_a_few_broken_images_are_counted(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": b"", "b/1.png": picture(0), "b/2.png": picture(1)})
    found = inspect(tmp_path)
    assert (found.sampled, found.sampled_bad) == (3, 1)


def test_unknown_keys_of_the_request_are_refused() -> None:
    with pytest.raises(ValidationError, match="imagecolumn"):
        DatasetRequest.model_validate_json('{"name": "n", "role": "labeled", "uri": "/x", "imagecolumn": "i"}')


def test_the_examples_of_the_request_are_valid() -> None:
    for example in DatasetRequest.model_json_schema()["examples"]:
        assert DatasetRequest.model_validate(example).name
