"""Draws the images that a plan measures with: a few of each dataset, written as a small dataset."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.data.errors import read_failure
from workers.data.shards.shard_readers import ShardImages, ShardReadError, read_shard
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.measure import DataMeasurement
from workers.specs.reports import FailureReason
from workers.specs.stages import part_name

_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Sample:
    """A small dataset, and what was measured while it was drawn."""

    manifest_uri: str
    manifest: DatasetManifest
    seen: DataMeasurement


def draw_sample(manifest_uri: str, folder_uri: str, most_images: int) -> Sample:
    """Takes whole shards, evenly spread over the dataset, up to `most_images` or 64 MiB; of the last one only a part.

    Shards without rows are skipped, because nothing can be timed with them. Raises StageError(BAD_DATA) or
    StageError(ARTIFACT_STORE) if the manifest or a shard cannot be read, or no shard has rows.
    """
    manifest = require_manifest(manifest_uri)
    filled = [index for index, shard in enumerate(manifest.shards) if shard.rows]
    if not filled:
        raise StageError(FailureReason.BAD_DATA, f"{manifest_uri} has no images")
    shards: list[Shard] = []
    images, stored_bytes, seconds, room, room_bytes = 0, 0.0, 0.0, most_images, float(_MOST_BYTES)
    for place in spread(len(filled), math.ceil(most_images * len(filled) / manifest.rows)):
        if room <= 0 or room_bytes <= 0:
            break
        started_at = time.perf_counter()
        contents = _read(manifest, filled[place])
        seconds += time.perf_counter() - started_at
        images += len(contents.images)
        stored_bytes += _stored_bytes(manifest, manifest.shards[filled[place]], contents)
        rows = _rows_within(contents.images, room, room_bytes)
        shards.append(_write(manifest, contents, rows, join_uri(folder_uri, part_name(len(shards)))))
        room -= rows
        room_bytes -= sum(map(len, contents.images[:rows]))
    seen = DataMeasurement(
        images=images,
        bytes_an_image=stored_bytes / images,
        read_seconds_an_image=seconds / images,
    )
    return _as_dataset(manifest, shards, folder_uri, seen)


def first_images(sample: Sample, images: int, folder_uri: str) -> Sample:
    """A still smaller dataset: the first images of the sample's first shard."""
    contents = _read(sample.manifest, 0)
    shard = _write(sample.manifest, contents, min(images, len(contents.images)), join_uri(folder_uri, part_name(0)))
    return _as_dataset(sample.manifest, [shard], folder_uri, sample.seen)


def spread(count: int, wanted: int) -> list[int]:
    """Chooses `wanted` of `count` indices, at least one, evenly spread."""
    taken = min(count, max(1, wanted))
    return [place * count // taken for place in range(taken)]


def _read(manifest: DatasetManifest, index: int) -> ShardImages:
    try:
        return read_shard(manifest, index)
    except ShardReadError as error:
        raise StageError(read_failure(error), str(error)) from error


def _stored_bytes(manifest: DatasetManifest, shard: Shard, contents: ShardImages) -> int:
    # If each image is a file, the shard's URI is that of a folder or of a list.
    if manifest.format in ("image_folder", "uri_list"):
        return sum(map(len, contents.images))
    filesystem, path = open_filesystem(shard.uri)
    return int(filesystem.get_file_info(path).size)


def _rows_within(images: Sequence[bytes], most: int, most_bytes: float) -> int:
    """How many of the first images fit; at least one."""
    total = 0
    for row, image in enumerate(images[:most]):
        total += len(image)
        if total > most_bytes:
            return max(1, row)
    return min(most, len(images))


def _write(manifest: DatasetManifest, contents: ShardImages, rows: int, uri: str) -> Shard:
    columns = {
        "key": pa.array(contents.keys[:rows], pa.string()),
        "image": pa.array(contents.images[:rows], pa.binary()),
    }
    if contents.labels is not None:
        columns["label"] = pa.array([manifest.classes[label] for label in contents.labels[:rows]], pa.string())
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer, compression="none")
    write_bytes(uri, buffer.getvalue().to_pybytes())
    return Shard(uri=uri, rows=rows)


def _as_dataset(of: DatasetManifest, shards: list[Shard], folder_uri: str, seen: DataMeasurement) -> Sample:
    manifest = DatasetManifest(
        dataset_id=of.dataset_id,
        role=of.role,
        format="parquet",
        classes=of.classes,
        label_column="label" if of.classes else None,
        key_column="key",
        rows=sum(shard.rows for shard in shards),
        shards=tuple(shards),
    )
    uri = join_uri(folder_uri, "manifest.json")
    write_bytes(uri, manifest.model_dump_json().encode())
    return Sample(uri, manifest, seen)
