"""What a Parquet shard yields."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.made_shards import PICTURES, manifest, write_parquet
from workers.data.shards.shard_readers import ShardReadError, read_shard


def test_parquet_with_binary_images_and_keys(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["dog", "cat", "dog"], key=[7, 8, 9])
    read = read_shard(manifest("parquet", shard, key_column="key"), 0)
    assert (read.keys, read.images, read.labels) == (["7", "8", "9"], PICTURES, [1, 0, 1])


def test_parquet_with_struct_images_and_integer_labels(tmp_path: Path) -> None:
    images = pa.array([{"bytes": data, "path": "x"} for data in PICTURES])
    shard = write_parquet(tmp_path / "a.parquet", pic=images, label=[10, 2, 2])
    read = read_shard(manifest("parquet", shard, image_column="pic", classes=("2", "10")), 0)
    assert (read.images, read.labels) == (PICTURES, [1, 0, 0])


@pytest.mark.parametrize("image_type", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("label_type", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_types_of_images_and_labels(tmp_path: Path, image_type: pa.DataType, label_type: pa.DataType) -> None:
    shard = write_parquet(
        tmp_path / "a.parquet",
        image=pa.array(PICTURES, image_type),
        label=pa.array(["cat", "dog", "cat"]).cast(label_type),
    )
    read = read_shard(manifest("parquet", shard), 0)
    assert (read.images, read.labels) == (PICTURES, [0, 1, 0])


def test_parquet_without_keys_names_file_and_row(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3, key=["k", None, "l"])
    assert read_shard(manifest("parquet", shard), 0).keys == ["a.parquet:0", "a.parquet:1", "a.parquet:2"]
    assert read_shard(manifest("parquet", shard, key_column="key"), 0).keys == ["k", "a.parquet:1", "l"]


def test_a_null_image_is_an_empty_one(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=[PICTURES[0], None], label=["cat", "dog"])
    assert read_shard(manifest("parquet", shard), 0).images == [PICTURES[0], b""]


LATIN = b"caf\xe9"


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_a_parquet_file_that_is_not_utf8_is_readable(tmp_path: Path, text: pa.DataType) -> None:
    raw = pa.array([LATIN, b"tea", None], pa.binary())
    is_large = text == pa.large_string()
    parts = (raw.cast(pa.large_binary()) if is_large else raw).buffers()
    keys = pa.Array.from_buffers(pa.large_string() if is_large else pa.string(), 3, parts)
    if pa.types.is_dictionary(text):
        keys = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int32()), keys.slice(0, 2))
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, key=keys, label=["cat"] * 3)
    read = read_shard(manifest("parquet", shard, key_column="key"), 0)
    assert read.keys == ["caf\\xe9", "tea", "a.parquet:2"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES)
    with pytest.raises(ShardReadError, match=r"a\.parquet: no column 'label'; it has image"):
        read_shard(manifest("parquet", shard), 0)
