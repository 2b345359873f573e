"""Reads one image of a shard, without what lies before it where the format allows that."""

from itertools import islice

import numpy as np

from workers.data.errors import BrokenImage, ShardReadError
from workers.data.shards import parquet_shards, tar_shards, uri_lists
from workers.data.shards.folder_members import read_member
from workers.data.shards.shard_readers import read_rows
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import BrokenKind


def read_image(manifest: DatasetManifest, shard_index: int, row: int) -> bytes:
    """The encoded image of a row. The shard and the row must be the manifest's.

    Raises BrokenImage for an image that is null or cannot be read, and ShardReadError for a damaged shard.
    """
    found = _read(manifest, shard_index, row)
    if isinstance(found, BrokenImage):
        raise found
    if not found:
        raise BrokenImage(BrokenKind.EMPTY, "no bytes (a null or an empty file)")
    return found


def _read(manifest: DatasetManifest, shard_index: int, row: int) -> bytes | BrokenImage:
    shard = manifest.shards[shard_index]
    match manifest.format:
        case "parquet":
            with parquet_shards.open_parquet(shard.uri) as file:
                return parquet_shards.read_image_rows(file, manifest.image_column, [row])[0]
        case "image_folder":
            return read_member(shard, shard.members[row])
        case "webdataset":
            with tar_shards.open_tar(shard.uri) as stream:
                samples = list(islice(tar_shards.iterate_samples(stream, tar_shards.Walk(with_labels=False)), row + 1))
                if len(samples) <= row:
                    raise ShardReadError(shard.uri, f"{len(samples)} images where {shard.rows} were registered")
                return tar_shards.read_image(stream, samples[row])
        case "uri_list":
            # Somebody waits: a storage that fails is not asked again.
            fetched = uri_lists.fetch([uri_lists.read_part(shard.uri)[row].uri], sleep=lambda _: None)
            return fetched.unreadable.get(0, fetched.images[0])
        case _:
            rows = read_rows(manifest, shard_index, np.array([row]))
            return rows.unreadable.get(0, rows.images[0])
