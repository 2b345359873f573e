"""Registration keeps a hash of every image and a digest of the dataset."""

import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from service.datasets.inspection import HashLimit
from tests.support.made_datasets import inspect, pictures, write_files, write_parquet, write_tar
from tests.support.made_shards import picture
from workers.data.images.decode import content_hash


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


def test_an_image_of_a_tar_file_that_has_two_names_is_two_rows(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind in (("0.png", tarfile.REGTYPE), ("1.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "0.png" if kind == tarfile.LNKTYPE else ""
            info.size = len(picture(0)) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(picture(0)))
    found = inspect(tmp_path / "s.tar", role="unlabeled")
    assert found.content_hashes == [content_hash(picture(0))] * 2
