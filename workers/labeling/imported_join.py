"""Joins imported labels with the rows of a pool, by key or URI, in bounded memory: a file of labels for each shard."""

import logging
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from workers.artifact_io import join_uri, open_filesystem, read_bytes_if_there, write_bytes
from workers.data.errors import ShardReadError, read_failure
from workers.data.imported_labels import (
    NO_CLASS,
    ImportedBatch,
    digest_of_files,
    hashed,
    imported_files,
    iterate_labels,
    raise_if_twice,
)
from workers.data.plain_values import shown
from workers.data.shards.shard_names import shard_keys, shard_uris
from workers.runtime.stage_reporter import StageError
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetManifest
from workers.specs.labeling import ImportedTable
from workers.specs.reports import FailureReason
from workers.specs.stages import part_name

logger = logging.getLogger(__name__)

IMPORTED_FOLDER = "imported"
_JOINED_FILE = "joined.json"
_BYTES_AT_A_TIME = 1 << 30
"""Bounds memory. The table is read once for as many of the pool's rows as fit."""
_BYTES_A_ROW = 64
"""A name's hash and place, twice, and a label; probabilities come on top."""


class JoinedLabels(Frozen):
    """What has become of an imported table."""

    digest: str
    """Of the contents of its files."""
    manifest_uri: str
    labels: int
    matched: int
    """How many labels belong to a row of the pool."""


def join_imported(
    folder_uri: str, manifest_uri: str, manifest: DatasetManifest, table: ImportedTable, alive: Callable[[], None]
) -> JoinedLabels:
    """Writes the labels of each shard to the folder `imported/`, unless an earlier attempt has done so.

    `alive` is called now and then. Raises StageError(BAD_DATA), which names the file and the row, for labels that
    cannot be used, a key that comes twice, and one that names two images of the pool; also if no key is the pool's.
    """
    try:
        files = imported_files(table.uri)
        digest = digest_of_files(files)
        before = _before(folder_uri)
        if before is not None and (before.digest, before.manifest_uri) == (digest, manifest_uri):
            return before
        labels = matched = 0
        for shards in _ranges(manifest, len(table.classes)):
            found = _Range(manifest, shards, table)
            labels = 0
            for batch in iterate_labels(files, table.classes, table.key_column):
                found.take(batch)
                labels += len(batch.names)
                alive()
            matched += found.write(join_uri(folder_uri, IMPORTED_FOLDER))
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(read_failure(error), f"labeling.imported: {error}") from error
    if not matched:
        first = shown(shard_keys(manifest, 0)[0]) if manifest.rows else "none"
        raise StageError(
            FailureReason.BAD_DATA,
            f"labeling.imported: none of the {labels:,} labels at {table.uri} belongs to an image of "
            f"{manifest.called}, whose first key is {first}",
        )
    joined = JoinedLabels(digest=digest, manifest_uri=manifest_uri, labels=labels, matched=matched)
    write_bytes(join_uri(folder_uri, IMPORTED_FOLDER, _JOINED_FILE), joined.model_dump_json().encode())
    logger.info("%d of %d imported labels belong to the pool", matched, labels)
    return joined


def read_joined(folder_uri: str, shard: int, rows: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The listed classes and probabilities of a shard's rows, (rows, k) each. Rows without a label list no class."""
    filesystem, path = open_filesystem(join_uri(folder_uri, IMPORTED_FOLDER, part_name(shard)))
    table = pq.read_table(path, filesystem=filesystem)
    places = table["row"].to_numpy()
    width = table.schema.field("classes").type.list_size
    classes = np.full((rows, width), NO_CLASS, dtype=np.int32)
    probabilities = np.zeros((rows, width), dtype=np.float32)
    classes[places] = _matrix(table["classes"], width)
    probabilities[places] = _matrix(table["probabilities"], width)
    return classes, probabilities


def _matrix(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.generic]:
    values: npt.NDArray[np.generic] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, width)


def _before(folder_uri: str) -> JoinedLabels | None:
    data = read_bytes_if_there(join_uri(folder_uri, IMPORTED_FOLDER, _JOINED_FILE))
    try:
        return None if data is None else JoinedLabels.model_validate_json(data)
    except ValidationError:
        return None


def _ranges(manifest: DatasetManifest, classes: int) -> Iterator[range]:
    """Consecutive shards, as many at a time as memory allows."""
    most = max(1, _BYTES_AT_A_TIME // (_BYTES_A_ROW + 8 * min(classes, 100)))
    start = rows = 0
    for shard, each in enumerate(manifest.shards):
        if rows and rows + each.rows > most:
            yield range(start, shard)
            start, rows = shard, 0
        rows += each.rows
    yield range(start, len(manifest.shards))


class _Range:
    """The labels of some consecutive shards, as they are found in the table."""

    def __init__(self, manifest: DatasetManifest, shards: range, table: ImportedTable) -> None:
        self._manifest = manifest
        self._shards = shards
        self._table = table
        self._rows = [manifest.shards[shard].rows for shard in shards]
        self._by_uri: bool | None = None
        self._hashes = np.empty(0, "S16")
        self._order = np.empty(0, np.int64)
        self._pieces: list[tuple[npt.NDArray[np.int64], ImportedBatch]] = []
        self._all: list[npt.NDArray[np.bytes_]] = [np.empty(0, "S16")]
        self._places: list[tuple[int, str, npt.NDArray[np.int64]]] = []

    def take(self, batch: ImportedBatch) -> None:
        """Keeps the labels of the batch that belong to these shards."""
        if batch.by_uri != self._by_uri:
            self._name_rows(batch)
        hashes = hashed(batch.names)
        places = np.searchsorted(self._hashes, hashes)
        inside = np.flatnonzero(places < len(self._hashes))
        matching = inside[self._hashes[places[inside]] == hashes[inside]]
        if not len(matching):
            return
        at = places[matching]
        following = np.minimum(at + 1, len(self._hashes) - 1)
        ambiguous = np.flatnonzero((following > at) & (self._hashes[following] == hashes[matching]))
        if len(ambiguous):
            row = matching[ambiguous[0]]
            raise ShardReadError(
                batch.uri,
                f"row {batch.rows[row]}: its {'uri' if batch.by_uri else 'key'} {shown(batch.names[row])} names two "
                f"images of {self._manifest.called}: register the pool with keys of its own, or name images by `uri`",
            )
        self._places.append((sum(map(len, self._all)), batch.uri, batch.rows[matching]))
        self._all.append(hashes[matching])
        kept = ImportedBatch(
            batch.uri, batch.rows[matching], [], batch.by_uri, batch.classes[matching], batch.probabilities[matching]
        )
        self._pieces.append((self._order[at], kept))

    def write(self, folder_uri: str) -> int:
        """Writes a file for each shard, and returns the number of labels. Raises ShardReadError for a key that comes
        twice."""
        raise_if_twice(np.concatenate(self._all), self._places)
        width = max((piece.classes.shape[1] for _, piece in self._pieces), default=1)
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in self._pieces)])
        classes = _stacked([piece.classes for _, piece in self._pieces], width, NO_CLASS)
        probabilities = _stacked([piece.probabilities for _, piece in self._pieces], width, 0)
        order = np.argsort(rows)
        starts = np.searchsorted(rows[order], np.cumsum([0, *self._rows]))
        first = 0
        for shard, start, end, count in zip(self._shards, starts, starts[1:], self._rows, strict=False):
            some = order[start:end]
            table = pa.table(
                {
                    "row": pa.array(rows[some] - first, pa.int64()),
                    "classes": _lists(classes[some].astype(np.int32)),
                    "probabilities": _lists(probabilities[some].astype(np.float32)),
                }
            )
            buffer = BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            write_bytes(join_uri(folder_uri, part_name(shard)), buffer.getvalue())
            first += count
        return len(rows)

    def _name_rows(self, batch: ImportedBatch) -> None:
        """Hashes the names of the rows: keys, or URIs if the table has these."""
        if self._by_uri is not None:
            raise ShardReadError(batch.uri, "other files have a column `key`, and this one `uri`: use the same in all")
        found = [np.empty(0, "S16")]
        for shard in self._shards:
            names = shard_uris(self._manifest, shard) if batch.by_uri else shard_keys(self._manifest, shard)
            if names is None:
                raise ShardReadError(
                    batch.uri,
                    f"it names images by `uri`, and those of {self._manifest.called} have none, since it is of the "
                    f"format {self._manifest.format}: name them by `key`",
                )
            found.append(hashed(names))
        hashes = np.concatenate(found)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes, self._by_uri = hashes[self._order], batch.by_uri


def _stacked(pieces: Sequence[npt.NDArray[np.generic]], width: int, filling: float) -> npt.NDArray[np.generic]:
    rows = sum(len(piece) for piece in pieces)
    whole = np.full((rows, width), filling, dtype=pieces[0].dtype if pieces else np.float32)
    start = 0
    for piece in pieces:
        whole[start : start + len(piece), : piece.shape[1]] = piece
        start += len(piece)
    return whole


def _lists(values: npt.NDArray[np.generic]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
