"""Lists the images that the pool holds more than once, byte for byte: all but the first of each."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.specs.stages import DUPLICATES_FOLDER, part_name

_ROWS_AT_A_TIME = 16_000_000
"""Bounds memory, at some 40 bytes a row. Larger pools are read several times, each time for a part of the hashes."""


def write_duplicates(labels_uri: str, rows_per_shard: Sequence[int], alive: Callable[[], None]) -> int:
    """Lists the rows that repeat an earlier image, in a file for each shard that has any, and returns their number.

    Of several equal images the first one, by shard and row, is not listed. Broken and held-out images do not count.
    `alive` is called for each label file that is read.
    """
    parts = 1 + sum(rows_per_shard) // _ROWS_AT_A_TIME
    found: dict[int, list[npt.NDArray[np.int32]]] = {}
    for part in range(parts):
        for shard, rows in _repeated(labels_uri, len(rows_per_shard), part, parts, alive):
            found.setdefault(shard, []).append(rows)
    for shard, pieces in found.items():
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table({"row": np.sort(np.concatenate(pieces))}), buffer, compression="zstd")
        write_bytes(join_uri(labels_uri, DUPLICATES_FOLDER, part_name(shard)), buffer.getvalue().to_pybytes())
    return sum(len(rows) for pieces in found.values() for rows in pieces)


def _repeated(
    labels_uri: str, shards: int, part: int, parts: int, alive: Callable[[], None]
) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Yields shard by shard the rows that repeat an earlier image, among those whose hash falls into one part."""
    gathered = []
    for shard in range(shards):
        gathered.append(_of_part(labels_uri, shard, part, parts))
        alive()
    rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in gathered)])
    hashes = np.concatenate([np.empty((0, 2), np.uint64), *(halves for _, halves in gathered)])
    shard_of = np.repeat(np.arange(shards, dtype=np.int32), [len(rows) for rows, _ in gathered])
    # lexsort is stable, and rows are ordered by shard and row: the first of equal images is the one that stays.
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    same = (hashes[order][1:] == hashes[order][:-1]).all(axis=1)
    repeated = np.sort(order[1:][same])
    for shard in np.unique(shard_of[repeated]).tolist():
        yield shard, rows[repeated[shard_of[repeated] == shard]]


def _of_part(
    labels_uri: str, shard: int, part: int, parts: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    filesystem, path = open_filesystem(join_uri(labels_uri, part_name(shard)))
    table = pq.read_table(path, columns=["content_hash", "doubt"], filesystem=filesystem).combine_chunks()
    hashes = b"".join(table["content_hash"].to_pylist())
    halves = np.frombuffer(hashes, np.uint64).reshape(-1, 2)
    # Broken and excluded rows have no doubt.
    usable = table["doubt"].is_valid().to_numpy()
    rows = np.flatnonzero(usable & (halves[:, 0] % np.uint64(parts) == part))
    return rows.astype(np.int32), halves[rows]
