"""Fingerprints of a dataset's images. The first stage that needs them makes them, and keeps them beside the manifest.

An image's fingerprint is its content hash, which equal bytes share, and its perceptual hash, which pictures that look
alike nearly share. A dataset of any size is fingerprinted: memory is bounded, and a large one is spread over the pool.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import open_filesystem, writing
from workers.data.errors import BrokenImage, ShardReadError, read_failure
from workers.data.images.decode import content_hash
from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes
from workers.data.shards.shard_readers import ShardImages, iterate_shard, load_manifest
from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import ComparedSet, FingerprintedImages
from workers.specs.stages import ActorPool

ROW_GROUP_ROWS = 1 << 16
"""The rows of a row group, which is as much as is held while a file is written, or a key is looked up."""
POOL_FROM = 50_000
"""Sets with more images are fingerprinted by the pool's actors, if they have several shards."""

_VERSION, _COUNTS = b"noisy_student.fingerprints", b"noisy_student.counts"
_THIS_VERSION = b"2"
"""The version of the hashes and of the file. Files of another version are made again."""
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        pa.field("content_hash", pa.binary(16)),  # null where there are no bytes to compare
        pa.field("hash", pa.uint64()),  # the perceptual hash; null for broken and for flat pictures
    ]
)


def prepare_fingerprints(images: FingerprintedImages, pool: ActorPool, alive: Callable[[], None]) -> ComparedSet:
    """Makes the file of fingerprints unless it exists, and returns what it holds.

    `alive` is called now and then. Raises StageError if a shard cannot be read.
    """
    try:
        before = _found(images)
        if before is not None:
            return before
        manifest = load_manifest(images.manifest_uri)
        if manifest.rows > POOL_FROM and len(manifest.shards) > 1:
            return _write(images, manifest, _from_pool(images, manifest, pool, alive))
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as decoders:
            return _write(images, manifest, _from_here(manifest, decoders, alive))
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(read_failure(error), f"an evaluation or labeled dataset cannot be read: {error}") from error


class ShardFingerprints:
    """Fingerprints shards of a dataset. Lives in an actor of the pool."""

    def __init__(self, manifest_uri: str, threads: int) -> None:
        self._manifest = load_manifest(manifest_uri)
        self._decoders = ThreadPoolExecutor(threads)

    def __call__(self, shard: int) -> bytes:
        """The fingerprints of a shard as an Arrow stream. Raises ShardReadError."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _SCHEMA) as stream:
            for piece in iterate_shard(self._manifest, shard):
                stream.write_table(_table(piece, self._decoders))
        content: bytes = sink.getvalue().to_pybytes()
        return content


def _make_function(manifest_uri: str, threads: int) -> ShardFunction:
    return ShardFingerprints(manifest_uri, threads)


def _from_pool(
    images: FingerprintedImages, manifest: DatasetManifest, pool: ActorPool, alive: Callable[[], None]
) -> Iterator[pa.Table]:
    """The shards' fingerprints as they arrive, in any order."""
    make = partial(_make_function, images.manifest_uri, max(1, int(pool.cpus_per_actor)))
    without_gpus = pool.model_copy(update={"gpus_per_actor": 0.0})
    for done in map_shards(make, range(len(manifest.shards)), without_gpus):
        alive()
        yield pa.ipc.open_stream(done.payload).read_all()


def _from_here(manifest: DatasetManifest, decoders: Executor, alive: Callable[[], None]) -> Iterator[pa.Table]:
    for shard in range(len(manifest.shards)):
        for piece in iterate_shard(manifest, shard):
            yield _table(piece, decoders)
            alive()


def _table(piece: ShardImages, decoders: Executor) -> pa.Table:
    found = list(decoders.map(_fingerprint, piece.images))
    seen = {row: picture for row, (_, picture) in enumerate(found) if picture is not None}
    looks: list[int | None] = [None] * len(found)
    for row, look in zip(seen, perceptual_hashes(list(seen.values())), strict=True):
        looks[row] = look
    contents = [None if row in piece.unreadable else content for row, (content, _) in enumerate(found)]
    return pa.table([pa.array(piece.keys, pa.string()), contents, pa.array(looks, pa.uint64())], schema=_SCHEMA)


def _fingerprint(data: bytes) -> tuple[bytes | None, npt.NDArray[np.uint8] | None]:
    """The content hash, and what the perceptual hash is made of."""
    if not data:
        return None, None
    try:
        return content_hash(data), encoded_thumbnail(data)
    except BrokenImage:
        return content_hash(data), None


def _write(images: FingerprintedImages, manifest: DatasetManifest, tables: Iterator[pa.Table]) -> ComparedSet:
    missing = without_look = rows = 0
    with writing(images.fingerprints_uri) as sink, pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as file:
        waiting = _SCHEMA.empty_table()
        for table in tables:
            rows += table.num_rows
            missing += table["content_hash"].null_count
            without_look += table["hash"].null_count
            waiting = pa.concat_tables([waiting, table])
            # Every row group but the last is full, so that a row's group follows from its number.
            while waiting.num_rows >= ROW_GROUP_ROWS:
                file.write_table(waiting.slice(0, ROW_GROUP_ROWS))
                waiting = waiting.slice(ROW_GROUP_ROWS)
        file.write_table(waiting)
        found = ComparedSet(
            dataset_id=manifest.dataset_id, images=rows, missing=missing, without_look=without_look - missing
        )
        file.add_key_value_metadata({_VERSION: _THIS_VERSION, _COUNTS: found.model_dump_json().encode()})
    return found


def _found(images: FingerprintedImages) -> ComparedSet | None:
    filesystem, path = open_filesystem(images.fingerprints_uri)
    try:
        with filesystem.open_input_file(path) as source:
            metadata = pq.read_metadata(source).metadata or {}
    except FileNotFoundError:
        return None
    if metadata.get(_VERSION) != _THIS_VERSION:
        return None
    return ComparedSet.model_validate_json(metadata[_COUNTS])


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of a dataset. Images that lack a hash are left out of that hash's two arrays."""

    contents: npt.NDArray[np.bytes_]
    """Content hashes, dtype S16."""
    content_rows: npt.NDArray[np.int32]
    """The row of the file that each content hash is from."""
    looks: npt.NDArray[np.uint64]
    """Perceptual hashes."""
    look_rows: npt.NDArray[np.int32]
    """The row of the file that each perceptual hash is from."""


def read_fingerprints(images: FingerprintedImages) -> Fingerprints:
    """Reads the file that `prepare_fingerprints` has made: 32 bytes an image."""
    contents, looks = [np.empty(0, "S16")], [np.empty(0, np.uint64)]
    content_rows, look_rows = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    start = 0
    for batch in _batches(images, ["content_hash", "hash"]):
        there, seen = batch["content_hash"].is_valid(), batch["hash"].is_valid()
        # A binary column of a fixed size lies in memory as numpy wants it once its nulls are gone.
        contents.append(np.frombuffer(b"".join(batch["content_hash"].drop_null().to_pylist()), dtype="S16"))
        looks.append(batch["hash"].drop_null().to_numpy())
        for rows, mask in ((content_rows, there), (look_rows, seen)):
            rows.append((start + np.flatnonzero(mask.to_numpy(zero_copy_only=False))).astype(np.int32))
        start += len(batch)
    return Fingerprints(
        np.concatenate(contents), np.concatenate(content_rows), np.concatenate(looks), np.concatenate(look_rows)
    )


def read_keys(images: FingerprintedImages, group: int) -> list[str]:
    """The keys of one row group of the file: of the rows from `group * ROW_GROUP_ROWS` on."""
    filesystem, path = open_filesystem(images.fingerprints_uri)
    with filesystem.open_input_file(path) as source:
        keys: list[str] = pq.ParquetFile(source).read_row_group(group, columns=["key"])["key"].to_pylist()
        return keys


def _batches(images: FingerprintedImages, columns: list[str]) -> Iterator[pa.RecordBatch]:
    filesystem, path = open_filesystem(images.fingerprints_uri)
    with filesystem.open_input_file(path) as source:
        yield from pq.ParquetFile(source).iter_batches(batch_size=ROW_GROUP_ROWS, columns=columns)
