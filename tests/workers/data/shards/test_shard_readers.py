"""A shard of any format yields keys, images and class indices in row order."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.made_shards import PICTURES, manifest, write_parquet, write_tar
from workers.data.shards.shard_readers import iterate_batches, load_manifest, read_rows, read_shard
from workers.specs.datasets import DatasetManifest, Shard

MANY = 200


def many(folder: Path) -> DatasetManifest:
    """A shard that is read in several pieces."""
    images, labels = [b"%d" % row for row in range(MANY)], ["cat" if row % 3 else "dog" for row in range(MANY)]
    pq.write_table(pa.table({"image": images, "label": labels}), folder / "many.parquet", row_group_size=MANY)
    return manifest("parquet", Shard(uri=str(folder / "many.parquet"), rows=MANY))


@pytest.mark.parametrize("rows", [[], [0], [63, 64], [5, 70, 71, 199], list(range(MANY))])
def test_some_rows_of_a_shard_are_those_of_the_whole_shard(rows: list[int], tmp_path: Path) -> None:
    whole, some = read_shard(many(tmp_path), 0), read_rows(many(tmp_path), 0, np.array(rows, dtype=np.int32))
    assert whole.labels is not None
    assert some.keys == [whole.keys[row] for row in rows]
    assert some.images == [whole.images[row] for row in rows]
    assert some.labels == [whole.labels[row] for row in rows]


def test_why_a_file_cannot_be_read_stays_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(PICTURES[1])
    listed = Shard(uri=str(tmp_path), rows=3, members=("cat/0.png", "cat/1.png", "cat/2.png"))
    some = read_rows(manifest("image_folder", listed), 0, np.array([1, 2]))
    assert some.images == [PICTURES[1], b""]
    assert list(some.unreadable) == [1]


def test_batches_of_a_shard_are_large_enough_and_together_the_shard(tmp_path: Path) -> None:
    batches = list(iterate_batches(many(tmp_path), 0, 100))
    assert [len(each.images) for each in batches] == [128, 72]
    assert [image for each in batches for image in each.images] == read_shard(many(tmp_path), 0).images


def test_an_unlabeled_dataset_gives_no_labels(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    assert read_shard(manifest("parquet", shard, role="unlabeled", classes=(), label_column=None), 0).labels is None


def test_the_shard_that_was_asked_for_is_read(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "a.parquet", image=PICTURES[:1], label=["cat"])
    second = write_parquet(tmp_path / "b.parquet", image=PICTURES[1:], label=["dog", "cat"])
    read = read_shard(manifest("parquet", first, second), 1)
    assert (read.images, read.labels) == (PICTURES[1:], [1, 0])


def test_image_folder_with_class_folders(tmp_path: Path) -> None:
    members = ("cat/2.png", "dog/deep/1.png", "cat/1.png")
    for member, data in zip(members, PICTURES, strict=True):
        (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / member).write_bytes(data)
    read = read_shard(manifest("image_folder", Shard(uri=str(tmp_path), rows=3, members=members)), 0)
    assert (read.keys, read.images, read.labels) == (list(members), PICTURES, [0, 1, 0])


def test_a_file_that_is_gone_from_a_folder_is_an_empty_image(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(PICTURES[0])
    shard = Shard(uri=str(tmp_path), rows=2, members=("gone.png", "there.png"))
    read = read_shard(manifest("image_folder", shard, role="unlabeled", classes=()), 0)
    assert read.images == [b"", PICTURES[0]]


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_shards_are_found_by_uri_and_by_path(tmp_path: Path, scheme: str) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    read = read_shard(manifest("parquet", replace(shard, uri=scheme + shard.uri)), 0)
    assert read.images == PICTURES


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = manifest("image_folder", Shard(uri="/pictures", rows=2, members=("cat/1.png", "dog/1.png")))
    (tmp_path / "manifest.json").write_text(written.model_dump_json())
    assert load_manifest(str(tmp_path / "manifest.json")) == written


def test_a_large_shard_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """64 MB in one row group and in one tar file. A separate process's peak memory shows what a read takes."""
    images = [np.random.default_rng(seed).bytes(1 << 18) for seed in range(256)]
    parquet = write_parquet_in_one_group(tmp_path / "a.parquet", images)
    tar = write_tar(tmp_path / "a.tar", [(f"{row:03d}.jpg", image) for row, image in enumerate(images)], rows=256)
    frames = write_tar(tmp_path / "b.tar", [(f"f.{row:03d}.jpg", image) for row, image in enumerate(images)], rows=256)
    for name, shard in (("parquet", parquet), ("webdataset", tar), ("webdataset", frames)):
        (tmp_path / name).write_text(manifest(name, shard, classes=(), label_column=None).model_dump_json())
        done = subprocess.run(
            [sys.executable, "-c", READ_AND_TELL_MEMORY, str(tmp_path / name)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        rows, grown_mib = done.stdout.split()
        assert int(rows) == 256
        # A piece is 16 MB; reading the whole would take 64 MB or more.
        assert float(grown_mib) < 50, name


READ_AND_TELL_MEMORY = """
import resource, sys
from workers.data.shards import parquet_shards
from workers.data.shards import shard_readers
parquet_shards._LARGE_ROW_GROUP_BYTES = 1 << 20
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
manifest, before = shard_readers.load_manifest(sys.argv[1]), peak()
print(sum(len(piece.images) for piece in shard_readers.iterate_shard(manifest, 0)), peak() - before)
"""


def write_parquet_in_one_group(path: Path, images: list[bytes]) -> Shard:
    pq.write_table(pa.table({"image": images}), path, compression="none", use_dictionary=False)
    return Shard(uri=str(path), rows=len(images))
