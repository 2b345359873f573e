"""Reading Parquet takes bounded memory, whatever the footer says about the size of a row group."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.data.budgets import PIECE_BYTES
from workers.data.shards import parquet_shards

MIB = 1 << 20


def write_repeated_value(file: Path, size: int, rows: int, is_dictionary: bool = False) -> None:
    """A file of a few hundred bytes: one value in the dictionary, and rows that only repeat it."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([bytes(size)]))
    pq.write_table(pa.table({"image": column}), file, compression="zstd", store_schema=is_dictionary)


def resident_mib(statement: str, *arguments: object) -> int:
    """The peak memory that a statement takes in a separate process, beyond its imports, in MiB."""
    program = f"""
import resource, sys
from workers.data.shards import parquet_shards
from workers.data.shards.shard_readers import iterate_shard, read_rows
from workers.specs.datasets import DatasetManifest, Shard
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
uri, rows = sys.argv[1], int(sys.argv[2])
manifest = DatasetManifest(dataset_id="d", role="unlabeled", format="parquet", classes=(), rows=rows,
                           shards=(Shard(uri=uri, rows=rows),))
{statement}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)


READ_SHARD = "assert sum(len(piece.images) for piece in iterate_shard(manifest, 0)) == rows"
READ_SOME = """
with parquet_shards.open_parquet(uri) as file:
    assert len(parquet_shards.read_image_rows(file, "image", [0, rows - 1])) == 2
"""


@pytest.mark.parametrize("is_dictionary", [False, True])
@pytest.mark.parametrize("statement", [READ_SHARD, READ_SOME])
def test_one_value_that_all_rows_repeat_is_not_decoded_for_all_at_once(
    tmp_path: Path, statement: str, is_dictionary: bool
) -> None:
    file = tmp_path / "bomb.parquet"
    write_repeated_value(file, 8 * MIB, 100, is_dictionary)
    assert file.stat().st_size < 8000

    assert resident_mib(statement, file, 100) < 300  # of 800 MiB


@pytest.mark.parametrize("statement", [READ_SHARD, READ_SOME])
def test_a_large_row_group_is_not_in_memory_as_a_whole(tmp_path: Path, statement: str) -> None:
    rows, size = 6_000, 50_000
    file = tmp_path / "large.parquet"
    column = pa.array([row.to_bytes(4, "little") + bytes(size - 4) for row in range(rows)], pa.binary())
    pq.write_table(pa.table({"image": column}), file, row_group_size=rows, compression="none", use_dictionary=False)
    assert pq.read_metadata(file).num_row_groups == 1
    del column

    assert resident_mib(statement, file, rows) < 220  # of 286 MiB, in pages of 49 MiB


def test_pieces_have_as_many_rows_as_asked_and_about_as_many_bytes_as_allowed(tmp_path: Path) -> None:
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    pq.write_table(pa.table({"image": [bytes([row]) for row in range(250)]}), small, row_group_size=100)
    pq.write_table(pa.table({"image": [bytes([row]) * (20 * MIB) for row in range(8)]}), large, compression="zstd")
    with parquet_shards.open_parquet(str(small)) as file:
        pieces = [values["image"] for values in parquet_shards.iterate_columns(file, ["image"], 64)]
    assert [len(piece) for piece in pieces] == [64, 36, 64, 36, 50]
    assert [image for piece in pieces for image in piece] == [bytes([row]) for row in range(250)]
    with parquet_shards.open_parquet(str(large)) as file:
        sizes = [sum(map(len, v["image"])) for v in parquet_shards.iterate_columns(file, ["image"], 64)]
    assert sum(sizes) == 160 * MIB
    assert max(sizes) <= PIECE_BYTES + 20 * MIB
