"""Registration looks at real small datasets of every format, and says what cannot work."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from service.dataset_inspection import DatasetRequest, HashLimit, InspectedDataset, inspect_dataset
from service.dataset_inspection.sampling import sample_rows
from service.errors import InvalidRequest
from workers.data.images import content_hash
from workers.data.shard_readers import read_shard


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def pictures(count: int, start: int = 0) -> list[bytes]:
    return [picture(seed) for seed in range(start, start + count)]


def inspect(uri: object, role: str = "labeled", **fields: object) -> InspectedDataset:
    hash_limit = fields.pop("hash_limit", None)
    request = DatasetRequest.model_validate({"name": "digits", "role": role, "uri": str(uri), **fields})
    return inspect_dataset(request, "ds-1", f"{uri}.parts", hash_limit)


def refusal(uri: object, role: str = "labeled", **fields: object) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        inspect(uri, role, **fields)
    return caught.value.field, caught.value.message


def write_parquet(path: Path, row_group_size: int = 4, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def labels_read_back(found: InspectedDataset) -> list[str]:
    manifest = found.manifest
    shards = [read_shard(manifest, index) for index in range(len(manifest.shards))]
    return [manifest.classes[label] for shard in shards for label in shard.labels or []]


# What is found


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


def test_images_that_repeat_are_counted_and_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=[picture(1), picture(1), picture(2)], label=["a", "b", "a"])
    found = inspect(tmp_path)
    assert found.manifest.rows == 3
    assert found.class_counts == {"a": 2, "b": 1}
    assert found.content_hashes == [content_hash(picture(seed)) for seed in (1, 1, 2)]


def test_empty_images_have_no_hash(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", image=[picture(1), b"", None, picture(2), picture(3)], id=list(range(5)))
    found = inspect(tmp_path, "unlabeled")
    assert found.content_hashes == [content_hash(picture(seed)) for seed in (1, 2, 3)]
    assert (found.sampled, found.sampled_bad) == (5, 2)


@pytest.mark.parametrize("limit", [HashLimit(images=4), HashLimit(bytes=300)])
def test_a_dataset_over_the_limit_is_not_hashed(tmp_path: Path, limit: HashLimit) -> None:
    write_parquet(tmp_path / "p" / "a.parquet", image=pictures(5))
    write_files(tmp_path / "f", {f"{i}.png": data for i, data in enumerate(pictures(5))})
    write_tar(tmp_path / "a.tar", [(f"{i}.png", data) for i, data in enumerate(pictures(5))])
    for uri in (tmp_path / "p", tmp_path / "f", tmp_path / "a.tar"):
        assert inspect(uri, "unlabeled", hash_limit=limit).content_hashes is None
        assert len(inspect(uri, "unlabeled").content_hashes or []) == 5


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


def test_a_uri_keeps_its_scheme_and_reads_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "with blank #1.parquet", image=pictures(2))
    write_files(tmp_path / "folder", {"ü b.png": picture(3)})
    found = inspect(f"file://{tmp_path}/", "unlabeled", format="parquet")
    assert found.manifest.shards[0].uri == f"file://{tmp_path}/with%20blank%20%231.parquet"
    assert read_shard(found.manifest, 0).images == pictures(2)
    folder = inspect(f"file://{tmp_path}/folder/", "unlabeled")
    assert folder.manifest.shards[0].uri == f"file://{tmp_path}/folder"
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


# What is refused: the place


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
    assert "none of its 2 file(s) ends in" in message
    assert ".parquet" in message


def test_a_folder_without_files_of_the_format_asked_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0)})
    field, message = refusal(tmp_path, format="parquet")
    assert field == "uri"
    assert "is of parquet (.parquet)" in message


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


# What is refused: the columns


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


# What is refused: labels and classes


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
    assert f"{row}: its label 'cow' is none of the 2 classes given" in message


def test_fewer_than_two_classes(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "a/2.png": picture(1)})
    assert refusal(tmp_path) == ("classes", "only one class ('a') is in the data; at least two are needed")
    assert refusal(tmp_path, classes=("a",)) == ("classes", "at least two classes are needed")
    assert refusal(tmp_path, classes=("a", "b", "a")) == ("classes", "the class 'a' is named more than once")


# What is refused: the pictures


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


def test_a_dataset_that_is_not_hashed_has_a_digest_of_its_files(tmp_path: Path) -> None:
    first, copy = (write_parquet(tmp_path / name / "a.parquet", image=pictures(5)) for name in ("one", "two"))
    over = HashLimit(images=4)

    assert inspect(first.parent, "unlabeled").digest == inspect(copy.parent, "unlabeled").digest
    found = inspect(first.parent, "unlabeled", hash_limit=over).digest
    assert found.of == "files"
    assert found == inspect(first.parent, "unlabeled", hash_limit=over).digest
    os.utime(first, ns=(1, 1))
    assert found != inspect(first.parent, "unlabeled", hash_limit=over).digest


def test_the_digest_of_images_tells_apart_order_and_labels(tmp_path: Path) -> None:
    images = pictures(4)
    variants = [(images, [0, 1, 0, 1]), (images[::-1], [1, 0, 1, 0]), (images, [1, 0, 1, 0])]
    digests = set()
    for number, (shown, labels) in enumerate(variants):
        write_parquet(tmp_path / f"{number}.parquet", image=shown, label=pa.array(labels))
        digests.add(inspect(tmp_path / f"{number}.parquet").digest)

    assert {digest.of for digest in digests} == {"images"}
    assert len(digests) == 3


def test_a_folder_with_a_name_that_is_not_utf8_is_refused_and_named(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pictures", {"cat/1.png": picture(1)})
    Path(os.fsdecode(os.fsencode(root) + b"/cat/caf\xe9.png")).write_bytes(picture(2))
    field, message = refusal(root)
    assert field == "uri"
    assert message.startswith(f"{root}: cannot be listed")
    assert "caf\\xe9.png" in message


def test_an_image_of_a_tar_file_that_has_two_names_is_two_rows(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind in (("0.png", tarfile.REGTYPE), ("1.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "0.png" if kind == tarfile.LNKTYPE else ""
            info.size = len(picture(0)) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(picture(0)))
    found = inspect(tmp_path / "s.tar", role="unlabeled")
    assert found.content_hashes == [content_hash(picture(0))] * 2
