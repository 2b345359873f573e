"""Images that are in the pool more than once, byte for byte: all but the first of each are dropped, as asked."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.selection.label_rows import read_hashes, read_label_rows
from workers.specs.stages import part_name

DUPLICATES_FOLDER = "duplicates"
"""Below the select folder: for each shard that has any, the rows that are dropped."""

_ROWS_AT_A_TIME = 16_000_000
"""Bounds memory: some 40 bytes a row. More rows than that are gone through several times, by parts of the hashes."""


def write_duplicates(labels_uri: str, folder_uri: str, rows_per_shard: Sequence[int], classes: int) -> dict[int, int]:
    """Writes the rows that are dropped, and gives their number for each shard that has any.

    The first of several equal images, by shard and row, stays; broken and held-out images do not count. Raises
    StageError(BAD_DATA) for a label file that is missing or damaged.
    """
    parts = 1 + sum(rows_per_shard) // _ROWS_AT_A_TIME
    found: dict[int, list[npt.NDArray[np.int32]]] = {}
    for part in range(parts):
        for shard, rows in _repeated(labels_uri, len(rows_per_shard), classes, part, parts):
            found.setdefault(shard, []).append(rows)
    for shard, pieces in found.items():
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table({"row": np.sort(np.concatenate(pieces))}), buffer, compression="zstd")
        write_bytes(_uri(folder_uri, shard), buffer.getvalue().to_pybytes())
    return {shard: sum(len(rows) for rows in pieces) for shard, pieces in found.items()}


def read_duplicates(folder_uri: str, shard: int) -> npt.NDArray[np.int32]:
    """The rows of a shard that `write_duplicates` wrote down; only for shards that have any."""
    filesystem, path = open_filesystem(_uri(folder_uri, shard))
    rows: npt.NDArray[np.int32] = pq.read_table(path, filesystem=filesystem)["row"].to_numpy()
    return rows


def _repeated(
    labels_uri: str, shards: int, classes: int, part: int, parts: int
) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Shard by shard, the rows whose image came before, of those whose hash falls into one part."""
    gathered = [_of_part(labels_uri, shard, classes, part, parts) for shard in range(shards)]
    rows = np.concatenate([rows for rows, _ in gathered])
    hashes = np.concatenate([halves for _, halves in gathered])
    shard_of = np.repeat(np.arange(shards, dtype=np.int32), [len(rows) for rows, _ in gathered])
    # lexsort is stable, and rows come by shard and row: the first of equals is the one that stays.
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    same = (hashes[order][1:] == hashes[order][:-1]).all(axis=1)
    repeated = np.sort(order[1:][same])
    for shard in np.unique(shard_of[repeated]).tolist():
        yield shard, rows[repeated[shard_of[repeated] == shard]]


def _of_part(
    labels_uri: str, shard: int, classes: int, part: int, parts: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64]]:
    usable = read_label_rows(labels_uri, shard, classes).usable
    halves = np.ascontiguousarray(read_hashes(labels_uri, shard)).view(np.uint64).reshape(-1, 2)
    rows = np.flatnonzero(usable & (halves[:, 0] % np.uint64(parts) == part))
    return rows.astype(np.int32), halves[rows]


def _uri(folder_uri: str, shard: int) -> str:
    return join_uri(folder_uri, DUPLICATES_FOLDER, part_name(shard))
