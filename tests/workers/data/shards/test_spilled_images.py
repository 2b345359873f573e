"""A shard that does not fit into memory is readable, because its images wait in a temporary file."""

import multiprocessing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.data.shards import spilled_images
from workers.data.shards.shard_readers import read_rows, read_shard
from workers.data.shards.spilled_images import SpilledImages, gathered
from workers.specs.datasets import DatasetManifest, Shard

IMAGES = [bytes([number]) * number for number in range(1, 100)]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled_images, "HELD_BYTES", 1000)


def test_few_bytes_stay_a_list(narrow: None) -> None:
    assert gathered([IMAGES[:10], [], IMAGES[10:20]]) == IMAGES[:20]


def test_many_bytes_are_in_a_file_and_read_like_a_list(narrow: None) -> None:
    images = gathered([IMAGES[:50], IMAGES[50:]])
    assert isinstance(images, SpilledImages)
    assert (len(images), list(images)) == (99, IMAGES)
    assert (images[0], images[7], images[-1]) == (IMAGES[0], IMAGES[7], IMAGES[-1])
    assert images[3:90:7] == IMAGES[3:90:7]
    assert pa.array(images, pa.large_binary()).to_pylist() == IMAGES
    with pytest.raises(IndexError):
        images[99]


def test_forked_readers_do_not_disturb_each_other(narrow: None) -> None:
    images = gathered([IMAGES])
    forked = multiprocessing.get_context("fork")
    answers = forked.Queue()
    readers = [forked.Process(target=lambda: answers.put(list(images) == IMAGES)) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert list(images) == IMAGES
    assert [answers.get(timeout=30) for _ in readers] == [True] * 3
    for reader in readers:
        reader.join(30)


def test_a_large_shard_is_read_whole_and_in_part(narrow: None, tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": pa.array(IMAGES, pa.binary())}), tmp_path / "a.parquet")
    manifest = DatasetManifest(
        dataset_id="d",
        role="unlabeled",
        format="parquet",
        classes=(),
        rows=99,
        shards=(Shard(uri=str(tmp_path / "a.parquet"), rows=99),),
    )
    whole = read_shard(manifest, 0)
    assert isinstance(whole.images, SpilledImages)
    assert list(whole.images) == IMAGES
    assert whole.keys == [f"a.parquet:{row}" for row in range(99)]
    part = read_rows(manifest, 0, pa.array([0, 50, 98]).to_numpy())
    assert list(part.images) == [IMAGES[0], IMAGES[50], IMAGES[98]]
