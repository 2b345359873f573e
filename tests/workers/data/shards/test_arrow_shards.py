"""Arrow files are counted by the heads of their batches, and none makes a process unpack more than it may."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import ipc

from tests.support.made_shards import manifest, picture
from workers.data.errors import ShardReadError
from workers.data.shards import arrow_shards
from workers.data.shards.class_counts import class_counts
from workers.data.shards.shard_readers import iterate_shard, read_shard
from workers.specs.datasets import Shard

IMAGES = [picture(seed) for seed in range(20)]


def write(path: Path, table: pa.Table, rows: int = 6, *, with_footer: bool = False, compression: str = "") -> Path:
    options = ipc.IpcWriteOptions(compression=compression or None)
    make = ipc.new_file if with_footer else ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, make(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def pets(**columns: object) -> pa.Table:
    structs = pa.array([{"bytes": image, "path": None} for image in IMAGES])
    return pa.table({"image": structs, "label": ["cat", "dog"] * 10, **columns})


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
@pytest.mark.parametrize("with_footer", [False, True])
def test_rows_are_counted_and_read_in_order(tmp_path: Path, with_footer: bool, compression: str) -> None:
    file = write(tmp_path / "a.arrow", pets(), with_footer=with_footer, compression=compression)
    assert arrow_shards.rows_in(str(file)) == 20
    found = manifest("arrow", Shard(uri=str(file), rows=20), label_column="label")
    read = read_shard(found, 0)
    assert (list(read.images), read.labels) == (IMAGES, [0, 1] * 10)
    assert read.keys[:2] == ["a.arrow:0", "a.arrow:1"]
    assert class_counts(found).tolist() == [10, 10]


def test_dictionaries_and_keys_are_read(tmp_path: Path) -> None:
    table = pets(name=[f"picture {row}" for row in range(20)])
    table = table.set_column(1, "label", table["label"].dictionary_encode())
    file = write(tmp_path / "a.arrow", table)
    found = manifest("arrow", Shard(uri=str(file), rows=20), label_column="label", key_column="name")
    read = read_shard(found, 0)
    assert (read.keys[19], read.labels) == ("picture 19", [0, 1] * 10)


def test_a_file_with_another_number_of_rows_than_registered_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.arrow", pets())
    found = manifest("arrow", Shard(uri=str(file), rows=21), label_column="label")
    with pytest.raises(ShardReadError, match="20 images where 21 were registered"):
        list(iterate_shard(found, 0))


@pytest.mark.attack
@pytest.mark.parametrize("compression", ["", "zstd"])
def test_a_batch_that_unpacks_to_more_than_may_be_held_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    monkeypatch.setattr(arrow_shards, "MOST_BATCH_BYTES", 1 << 20)
    table = pa.table({"image": pa.array([bytes(4 << 20)])})
    file = write(tmp_path / "bomb.arrow", table, compression=compression)
    assert bool(compression) == (file.stat().st_size < 1 << 20)
    with pytest.raises(ShardReadError, match=r"bomb\.arrow: has a record batch of 4,194,"):
        arrow_shards.rows_in(str(file))


@pytest.mark.attack
def test_places_of_values_outside_of_a_batch_are_found_before_they_are_followed(tmp_path: Path) -> None:
    file = write(tmp_path / "hostile.arrow", pa.table({"image": pa.array([bytes(7), bytes(11)])}))
    offsets, hostile = (b"".join(end.to_bytes(4, "little") for end in (0, 7, last)) for last in (18, 1 << 30))
    content = file.read_bytes()
    assert content.count(offsets) == 1
    file.write_bytes(content.replace(offsets, hostile))
    found = manifest("arrow", Shard(uri=str(file), rows=2), classes=(), label_column=None)
    with pytest.raises(ShardReadError, match=r"hostile\.arrow"):
        read_shard(found, 0)


def test_the_first_version_of_feather_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(200) + b"FEA1")
    with pytest.raises(ShardReadError, match=r"old\.feather: not an Arrow file"):
        arrow_shards.rows_in(str(tmp_path / "old.feather"))
