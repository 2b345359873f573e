"""Counts the labeled images of each class. No image is read: labels lie beside them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.data.errors import ShardReadError
from workers.data.plain_values import shown
from workers.data.shards import arrow_shards, parquet_shards, tar_shards, uri_lists
from workers.data.shards.folder_members import class_of
from workers.data.shards.parquet_labels import label_texts, partitions
from workers.specs.datasets import DatasetManifest, Shard

_READERS = 16
_PIECE_ROWS = 4096


def class_counts(manifest: DatasetManifest) -> npt.NDArray[np.int64]:
    """How many images of each class of a labeled dataset there are, (classes,), by the index of the class.

    Raises ShardReadError if a file cannot be read, or has a label that is missing or no class.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        names = sum(pool.map(partial(_names_in, manifest), manifest.shards), Counter[str]())
    return np.array([names[name] for name in manifest.classes], dtype=np.int64)


def _names_in(manifest: DatasetManifest, shard: Shard) -> Counter[str]:
    names = _COUNTERS[manifest.format](manifest, shard)
    strange = [name for name in names if name not in manifest.classes]
    if strange:
        what = "a label is missing" if strange[0] is None else f"{shown(strange[0])} is no class of the dataset"
        raise ShardReadError(shard.uri, what)
    return Counter({name: count for name, count in names.items() if name is not None})


def _in_parquet(manifest: DatasetManifest, shard: Shard) -> Counter[str | None]:
    with parquet_shards.open_parquet(shard.uri) as file:
        there = file.schema_arrow.names
        return _in_table(manifest, shard, there, partial(parquet_shards.iterate_columns, file))


def _in_arrow(manifest: DatasetManifest, shard: Shard) -> Counter[str | None]:
    with arrow_shards.open_arrow(shard.uri) as file:
        return _in_table(manifest, shard, file.schema.names, partial(arrow_shards.iterate_columns, file))


def _in_table(
    manifest: DatasetManifest,
    shard: Shard,
    there: list[str],
    pieces: Callable[[Sequence[str], int], Iterator[dict[str, list[Any]]]],
) -> Counter[str | None]:
    column = manifest.label_column
    assert column is not None
    folders = partitions(shard.uri)
    if column not in there and column in folders:
        return Counter({folders[column]: shard.rows})
    if column not in there:
        raise ShardReadError(shard.uri, f"no column {column!r}")
    names: list[str | None] = []
    for values in pieces([column], _PIECE_ROWS):
        names += label_texts(values[column], manifest.label_names)
    return Counter(_chosen(shard, names))


def _in_folder(manifest: DatasetManifest, shard: Shard) -> Counter[str | None]:
    return Counter(class_of(member, manifest.class_level) for member in shard.members)


def _in_tar(_: DatasetManifest, shard: Shard) -> Counter[str | None]:
    with tar_shards.open_tar(shard.uri) as stream:
        return Counter(_chosen(shard, [sample.label for sample in tar_shards.list_samples(stream)]))


def _in_list(_: DatasetManifest, shard: Shard) -> Counter[str | None]:
    return Counter(entry.label for entry in uri_lists.read_part(shard.uri))


def _chosen(shard: Shard, names: Sequence[str | None]) -> Iterable[str | None]:
    return (names[row] for row in shard.chosen) if shard.chosen else names


_COUNTERS: dict[str, Callable[[DatasetManifest, Shard], Counter[str | None]]] = {
    "parquet": _in_parquet,
    "arrow": _in_arrow,
    "image_folder": _in_folder,
    "webdataset": _in_tar,
    "uri_list": _in_list,
}
