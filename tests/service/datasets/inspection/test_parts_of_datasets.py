"""A dataset may be one part of what lies at a place, in every format, and leave out what other datasets have."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from service.datasets.inspection import HashLimit, InspectedDataset
from service.errors import InvalidRequest
from tests.support.made_datasets import (
    inspect,
    labels_read_back,
    pictures,
    refusal,
    write_files,
    write_parquet,
    write_tar,
)
from workers.data.hashes import as_hash_array
from workers.data.images.decode import content_hash
from workers.data.shards.class_counts import class_counts
from workers.data.shards.row_names import row_name
from workers.data.shards.shard_readers import read_rows, read_shard

_CLASSES = ("cat", "dog")
_PARTS = {"train": "labeled", "validation": "evaluation", "test": "evaluation"}


def _folder(root: Path, images: list[bytes]) -> Path:
    return write_files(root, {f"{_CLASSES[row % 2]}/{row:02}.png": image for row, image in enumerate(images)})


def _list(root: Path, images: list[bytes]) -> Path:
    write_files(root, {f"{row:02}.png": image for row, image in enumerate(images)})
    lines = [f"{row:02}.png,{_CLASSES[row % 2]}" for row in range(len(images))]
    (root / "list.csv").write_text("\n".join(["uri,label", *lines]))
    return root / "list.csv"


def _parquet(root: Path, images: list[bytes]) -> Path:
    half = len(images) // 2
    for name, rows in (("a", range(half)), ("b", range(half, len(images)))):
        labels = [_CLASSES[row % 2] for row in rows]
        write_parquet(
            root / f"{name}.parquet", image=pa.array([images[row] for row in rows], pa.binary()), label=labels
        )
    return root


def _tar(root: Path, images: list[bytes]) -> Path:
    members = [
        member
        for row, image in enumerate(images)
        for member in ((f"{row:02}.png", image), (f"{row:02}.cls", str(row % 2).encode()))
    ]
    root.mkdir()
    return write_tar(root / "0.tar", members)


def _arrow(root: Path, images: list[bytes]) -> Path:
    root.mkdir()
    labels = pa.array([_CLASSES[row % 2] for row in range(len(images))])
    table = pa.table({"image": pa.array(images, pa.binary()), "label": labels})
    with pa.OSFile(str(root / "0.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return root


_FORMATS = {"image_folder": _folder, "uri_list": _list, "parquet": _parquet, "arrow": _arrow, "webdataset": _tar}


def _images(found: InspectedDataset) -> Iterator[bytes]:
    for index in range(len(found.manifest.shards)):
        yield from read_shard(found.manifest, index).images


def _inspect_part(place: Path, name: str, **fields: object) -> InspectedDataset:
    return inspect(place, _PARTS[name], part={"name": name, "validation_share": 0.2, "test_share": 0.2, **fields})


@pytest.mark.parametrize("kind", _FORMATS)
def test_the_parts_of_every_format_are_disjoint_whole_and_read_back(kind: str, tmp_path: Path) -> None:
    images = pictures(40)
    place = _FORMATS[kind](tmp_path / "set", images)
    seen: list[bytes] = []
    for name, rows in (("train", 24), ("validation", 8), ("test", 8)):
        found = _inspect_part(place, name)
        assert (found.manifest.format, found.manifest.rows) == (kind, rows)
        assert len(found.manifest.classes) == 2
        labels = labels_read_back(found)
        read = list(_images(found))
        true = [images.index(image) % 2 for image in read]
        assert [found.manifest.classes.index(label) for label in labels] == true
        assert class_counts(found.manifest).tolist() == [rows // 2, rows // 2]
        assert found.class_counts == dict.fromkeys(found.manifest.classes, rows // 2)
        assert found.hashes_by_row == [content_hash(image) for image in read]
        seen += read
        if name == "train":
            assert len(read_rows(found.manifest, 0, np.array([0, 3])).images) == 2
            assert read_rows(found.manifest, 0, np.array([3])).images == [read_shard(found.manifest, 0).images[3]]
    assert sorted(seen) == sorted(images)


def test_a_row_of_a_part_is_named_as_the_file_counts_it(tmp_path: Path) -> None:
    images = pictures(40)
    found = _inspect_part(_parquet(tmp_path / "set", images), "test")
    for row, image in enumerate(_images(found)):
        file, place = ("a", images.index(image)) if images.index(image) < 20 else ("b", images.index(image) - 20)
        assert row_name(found.manifest, row) == f"{file}.parquet row {place}"


@pytest.mark.parametrize("kind", _FORMATS)
def test_equal_images_lie_in_one_part(kind: str, tmp_path: Path) -> None:
    images = pictures(20)
    place = _FORMATS[kind](tmp_path / "set", [images[row // 8 * 2 + row % 2] for row in range(80)])
    parts = [set(_images(_inspect_part(place, name))) for name in _PARTS]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == 20


def test_classes_that_are_too_small_are_named(tmp_path: Path) -> None:
    place = _folder(tmp_path / "set", pictures(40))
    write_files(place, {f"owl/{row}.png": image for row, image in enumerate(pictures(2, start=50))})
    train, test = _inspect_part(place, "train"), _inspect_part(place, "test")
    assert train.manifest.classes == test.manifest.classes == ("cat", "dog", "owl")
    assert (train.class_counts or {})["owl"] == 2
    assert any("owl (2)" in warning and "nothing measures them" in warning for warning in train.warnings)


def test_a_split_of_classes_that_are_all_too_small_is_refused(tmp_path: Path) -> None:
    field, message = refusal(_folder(tmp_path / "set", pictures(5)), part={"name": "train"})
    assert field == "part"
    assert "only 1 of 2 classes" in message
    assert "dog (2)" in message


def test_too_many_images_to_hash_are_split_by_row_and_it_is_said(tmp_path: Path) -> None:
    place = _folder(tmp_path / "set", pictures(40))
    limit = HashLimit(images=10)
    found = [inspect(place, role, hash_limit=limit, part={"name": name}) for name, role in _PARTS.items()]
    images = [image for each in found for image in _images(each)]
    assert sorted(images) == sorted(pictures(40))
    assert any("may lie in several parts" in warning for warning in found[0].warnings)


@pytest.mark.parametrize("kind", _FORMATS)
def test_images_that_other_datasets_have_are_left_out(kind: str, tmp_path: Path) -> None:
    images = pictures(40)
    held = [as_hash_array(map(content_hash, images[:30]))]
    place = _FORMATS[kind](tmp_path / "set", images)
    found = inspect(place, "unlabeled", without=("ds-2",), held=held)
    assert sorted(_images(found)) == sorted(images[30:])
    assert any("30 image(s) are left out" in warning for warning in found.warnings)


def test_a_place_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    images = pictures(4)
    held = [as_hash_array(map(content_hash, images))]
    with pytest.raises(InvalidRequest, match="all 4 images") as caught:
        inspect(_folder(tmp_path / "set", images), "unlabeled", without=("ds-2",), held=held)
    assert caught.value.field == "without"


def test_the_digest_of_a_part_differs_from_that_of_another_even_without_hashes(tmp_path: Path) -> None:
    place = _parquet(tmp_path / "set", pictures(40))
    limits: list[Callable[[], HashLimit | None]] = [lambda: None, lambda: HashLimit(images=10)]
    for limit in limits:
        found = [inspect(place, hash_limit=limit(), part={"name": "train", "seed": seed}) for seed in (0, 0, 1)]
        digests = [each.digest.value for each in found]
        assert digests[0] == digests[1] != digests[2]
