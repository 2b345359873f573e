"""Perceptual hashes of evaluation images. The first label stage that needs a dataset's hashes makes and keeps them."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import exists, open_filesystem, write_bytes
from workers.data.errors import BrokenImage
from workers.data.images.perceptual_hash import hash_encoded
from workers.data.shards.shard_readers import iterate_shard, load_manifest
from workers.labeling.hash_index import HashIndex
from workers.labeling.label_files import NearDuplicate
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import EvaluationImages

MOST_IMAGES = 200_000
"""Larger evaluation sets are not compared with, because every actor holds all hashes and keys."""

_VERSION = b"noisy_student.perceptual_hash"
_THIS_VERSION = b"1"
"""The version of the hash. Files of another version are made again."""


def prepare_evaluation_hashes(sets: Sequence[EvaluationImages], alive: Callable[[], None]) -> tuple[str, ...]:
    """Makes the files that do not exist yet, and returns the ids of the datasets that are too large.

    `alive` is called after each shard. Raises ShardReadError.
    """
    too_large = []
    for images in sets:
        manifest = load_manifest(images.manifest_uri)
        if manifest.rows > MOST_IMAGES:
            too_large.append(manifest.dataset_id)
        elif not _is_there(images.perceptual_hashes_uri):
            write_bytes(images.perceptual_hashes_uri, _hashed(manifest, alive))
    return tuple(too_large)


class EvaluationIndex:
    """Finds the evaluation image that a picture is most like, within `distance` bits, among the prepared `sets`."""

    def __init__(self, sets: Sequence[EvaluationImages], distance: int) -> None:
        tables = [_read(images.perceptual_hashes_uri) for images in sets if exists(images.perceptual_hashes_uri)]
        table = pa.concat_tables([_SCHEMA.empty_table(), *tables]).combine_chunks()
        hashes, first = np.unique(table["hash"].to_numpy(), return_index=True)
        self._dataset = table["dataset"].take(pa.array(first))
        self._key = table["key"].take(pa.array(first))
        self._index = HashIndex(hashes, distance)

    def near(self, hashes: dict[int, int]) -> list[NearDuplicate]:
        """The rows that look like an evaluation image, in order. `hashes` has the perceptual hash of each row."""
        rows = sorted(hashes)
        places, distances = self._index.nearest(np.array([hashes[row] for row in rows], dtype=np.uint64))
        return [
            NearDuplicate(row, int(distance), self._dataset[int(place)].as_py(), self._key[int(place)].as_py())
            for row, place, distance in zip(rows, places, distances, strict=True)
            if place >= 0
        ]


_SCHEMA = pa.schema([("dataset", pa.string()), ("key", pa.string()), ("hash", pa.uint64())])


def _hashed(manifest: DatasetManifest, alive: Callable[[], None]) -> bytes:
    keys: list[str] = []
    hashes: list[npt.NDArray[np.uint64]] = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as decoders:
        for index in range(len(manifest.shards)):
            for piece in iterate_shard(manifest, index):
                found = list(decoders.map(_hash_or_none, piece.images))
                known = [row for row, value in enumerate(found) if value is not None]
                keys += [piece.keys[row] for row in known]
                hashes.append(np.array([found[row] for row in known], dtype=np.uint64))
            alive()
    flat = np.concatenate([np.empty(0, np.uint64), *hashes])
    table = pa.table([pa.array([manifest.dataset_id] * len(keys)), pa.array(keys), pa.array(flat)], schema=_SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_VERSION: _THIS_VERSION}), buffer, compression="zstd")
    return buffer.getvalue()


def _hash_or_none(data: bytes) -> int | None:
    try:
        return hash_encoded(data)
    except BrokenImage:
        return None


def _is_there(uri: str) -> bool:
    if not exists(uri):
        return False
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_file(path) as source:
        return (pq.read_metadata(source).metadata or {}).get(_VERSION) == _THIS_VERSION


def _read(uri: str) -> pa.Table:
    filesystem, path = open_filesystem(uri)
    return pq.read_table(path, filesystem=filesystem).replace_schema_metadata(None)
