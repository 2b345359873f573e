"""Reads one shard of a registered dataset: keys, encoded images and class indices, in row order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from workers.artifact_io import is_object_store, name_of, open_filesystem, read_bytes
from workers.data.budgets import MOST_IMAGE_BYTES, PIECE_BYTES
from workers.data.errors import BrokenImage, ShardReadError
from workers.data.plain_values import printable, shown
from workers.data.shards import arrow_shards, parquet_shards, tar_shards, uri_lists
from workers.data.shards.folder_members import class_of, open_member, read_opened
from workers.data.shards.parquet_labels import label_texts, partitions
from workers.data.shards.spilled_images import gathered
from workers.data.shards.whole_files import close_all, pieces_within, size_of, too_large
from workers.specs.datasets import DatasetManifest, Shard

__all__ = [
    "ShardImages",
    "ShardReadError",
    "iterate_batches",
    "iterate_shard",
    "load_manifest",
    "read_rows",
    "read_shard",
]

_PIECE_ROWS = 64
"""The rows of a piece, if a shard is read piece by piece."""
_FETCHED_ROWS = 256
"""The rows of a piece, if each image is a file of a remote store. Many files are then waited for together."""


@dataclass(frozen=True)
class ShardImages:
    """Rows of one shard.

    `images` are encoded; b"" stands for one that is null or cannot be read. If a large shard is read whole, they are in
    a temporary file instead of a list.
    """

    keys: list[str]
    images: Sequence[bytes]
    labels: list[int] | None
    """Indices of the manifest's classes; None for a dataset without labels."""
    unreadable: dict[int, BrokenImage] = field(default_factory=dict)
    """By row, why an image that is a file of its own cannot be read."""


@dataclass(frozen=True)
class _Rows:
    keys: list[str]
    images: list[bytes]
    label_names: list[str | None]
    """Empty for a dataset without labels."""
    unreadable: dict[int, BrokenImage] = field(default_factory=dict)


def load_manifest(uri: str) -> DatasetManifest:
    """The manifest that registration wrote. Raises FileNotFoundError, or ShardReadError for a damaged one."""
    try:
        return DatasetManifest.model_validate_json(read_bytes(uri))
    except ValidationError as error:
        raise ShardReadError(uri, f"not a dataset manifest: {error}") from error


def read_shard(manifest: DatasetManifest, shard_index: int) -> ShardImages:
    """All rows of one shard, in the order in which all stages count them. Raises like `iterate_shard`."""
    return _joined(manifest, iterate_shard(manifest, shard_index))


def read_rows(manifest: DatasetManifest, shard_index: int, rows: npt.NDArray[np.integer]) -> ShardImages:
    """Only the given `rows` of one shard, which ascend. The shard is read no further than to the last of them.

    Raises like `iterate_shard`, but not for what follows the last row.
    """
    return _joined(manifest, _pieces_with(manifest, shard_index, rows))


def iterate_batches(manifest: DatasetManifest, shard_index: int, least_rows: int) -> Iterator[ShardImages]:
    """Yields the rows of one shard like `iterate_shard`, in pieces of at least `least_rows` rows, except the last."""
    waiting: list[ShardImages] = []
    for piece in iterate_shard(manifest, shard_index):
        waiting.append(piece)
        if sum(len(each.images) for each in waiting) >= least_rows:
            yield _joined(manifest, waiting)
            waiting = []
    if waiting:
        yield _joined(manifest, waiting)


def iterate_shard(manifest: DatasetManifest, shard_index: int) -> Iterator[ShardImages]:
    """Yields the rows of one shard piece by piece, so that a large shard is never in memory as a whole.

    Raises ShardReadError if the file is missing, damaged, or no longer what was registered: it has another number of
    rows, or a label that is missing or no class. Raises StoreReadError if the storage fails. After either, the rows
    that were yielded before must not be used. Broken pictures are no error here: `images.decode_rgb` finds them.
    """
    shard = manifest.shards[shard_index]
    seen = 0
    for rows in _chosen(shard, _READERS[manifest.format](manifest, shard)):
        labels = _class_indices(manifest, shard, rows, seen) if manifest.classes else None
        yield ShardImages(rows.keys, rows.images, labels, rows.unreadable)
        seen += len(rows.images)
    if seen != shard.rows:
        raise ShardReadError(shard.uri, f"{seen} images where {shard.rows} were registered")


def _chosen(shard: Shard, pieces: Iterator[_Rows]) -> Iterator[_Rows]:
    """The rows of a file that belong to the dataset. It is read no further than to the last of them."""
    if not shard.chosen:
        yield from pieces
        return
    chosen, start, taken = np.array(shard.chosen), 0, 0
    for piece in pieces:
        end = int(np.searchsorted(chosen, start + len(piece.images)))
        places = (chosen[taken:end] - start).tolist()
        if places:
            yield _Rows(
                [piece.keys[place] for place in places],
                [piece.images[place] for place in places],
                [piece.label_names[place] for place in places] if piece.label_names else [],
                {row: piece.unreadable[place] for row, place in enumerate(places) if place in piece.unreadable},
            )
        start, taken = start + len(piece.images), end
        if taken == len(chosen):
            return


def _pieces_with(manifest: DatasetManifest, shard_index: int, rows: npt.NDArray[np.integer]) -> Iterator[ShardImages]:
    start, taken = 0, 0
    pieces = iterate_shard(manifest, shard_index) if len(rows) else iter(())
    for piece in pieces:
        end = int(np.searchsorted(rows, start + len(piece.images)))
        places = (rows[taken:end] - start).tolist()
        yield ShardImages(
            [piece.keys[place] for place in places],
            [piece.images[place] for place in places],
            None if piece.labels is None else [piece.labels[place] for place in places],
            {row: piece.unreadable[place] for row, place in enumerate(places) if place in piece.unreadable},
        )
        start, taken = start + len(piece.images), end
        if taken == len(rows):
            return


def _joined(manifest: DatasetManifest, pieces: Iterable[ShardImages]) -> ShardImages:
    keys: list[str] = []
    labels: list[int] = []
    unreadable: dict[int, BrokenImage] = {}

    def images_of_pieces() -> Iterator[Sequence[bytes]]:
        for piece in pieces:
            unreadable.update({len(keys) + row: error for row, error in piece.unreadable.items()})
            keys.extend(piece.keys)
            labels.extend(piece.labels or [])
            yield piece.images

    images = gathered(images_of_pieces())
    return ShardImages(keys, images, labels if manifest.classes else None, unreadable)


def _read_parquet(manifest: DatasetManifest, shard: Shard) -> Iterator[_Rows]:
    with parquet_shards.open_parquet(shard.uri) as file:
        there = file.schema_arrow.names
        yield from _read_table(manifest, shard, there, partial(parquet_shards.iterate_columns, file))


def _read_arrow(manifest: DatasetManifest, shard: Shard) -> Iterator[_Rows]:
    with arrow_shards.open_arrow(shard.uri) as file:
        yield from _read_table(manifest, shard, file.schema.names, partial(arrow_shards.iterate_columns, file))


def _read_table(
    manifest: DatasetManifest,
    shard: Shard,
    there: list[str],
    pieces: Callable[[Sequence[str], int], Iterator[dict[str, list[Any]]]],
) -> Iterator[_Rows]:
    """Reads a table with the columns `there`. `pieces` yields the values of columns, in pieces of so many rows."""
    label_column = manifest.label_column if manifest.classes else None
    folders = partitions(shard.uri)
    of_folder = label_column if label_column in folders and label_column not in there else None
    needed = (manifest.image_column, None if of_folder else label_column, manifest.key_column)
    columns = [name for name in needed if name is not None]
    missing = [name for name in columns if name not in there]
    if missing:
        raise ShardReadError(shard.uri, f"no column {missing[0]!r}; it has {', '.join(map(shown, there))}")
    start = 0
    for values in pieces(columns, _PIECE_ROWS):
        images = [image or b"" for image in values[manifest.image_column]]
        names: list[str | None] = []
        if of_folder is not None:
            names = [folders[of_folder]] * len(images)
        elif label_column is not None:
            names = label_texts(values[label_column], manifest.label_names)
        yield _rows(_keys_of_table(manifest, shard, values, start), images, names)
        start += len(images)


def _keys_of_table(manifest: DatasetManifest, shard: Shard, values: dict[str, list[object]], start: int) -> list[str]:
    file_name = name_of(shard.uri)
    keys = values.get(manifest.key_column) if manifest.key_column is not None else None
    if keys is None:
        return [f"{file_name}:{start + row}" for row in range(len(values[manifest.image_column]))]
    return [f"{file_name}:{start + row}" if key is None else printable(str(key)) for row, key in enumerate(keys)]


def _read_image_folder(manifest: DatasetManifest, shard: Shard) -> Iterator[_Rows]:
    is_remote = is_object_store(open_filesystem(shard.uri)[0])
    # A local disk reads small files as fast as one thread asks for them. An object store answers late.
    with ThreadPoolExecutor(uri_lists.FETCHING_THREADS if is_remote else 1) as readers:
        for members in _batched(shard.members, _FETCHED_ROWS if is_remote else _PIECE_ROWS):
            opened = list(readers.map(partial(open_member, shard), members))
            try:
                for piece in pieces_within([size_of(each) for each in opened], PIECE_BYTES):
                    keys = [members[place] for place in piece]
                    found = readers.map(partial(read_opened, shard), keys, [opened[place] for place in piece])
                    names = [class_of(key, manifest.class_level) for key in keys] if manifest.classes else []
                    yield _rows(keys, list(found), names)
            finally:
                close_all(opened)


def _read_webdataset(manifest: DatasetManifest, shard: Shard) -> Iterator[_Rows]:
    with tar_shards.open_tar(shard.uri) as stream:
        walk = tar_shards.Walk(with_images=True, with_labels=bool(manifest.classes))
        for samples in _pieces_of_samples(tar_shards.iterate_samples(stream, walk)):
            names = [sample.label for sample in samples] if manifest.classes else []
            yield _rows(
                [sample.key for sample in samples], [sample.broken or sample.image or b"" for sample in samples], names
            )


def _pieces_of_samples(samples: Iterable[tar_shards.TarSample]) -> Iterator[list[tar_shards.TarSample]]:
    piece: list[tar_shards.TarSample] = []
    size = 0
    for sample in samples:
        piece.append(sample)
        size += len(sample.image or b"")
        if len(piece) == _PIECE_ROWS or size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _read_uri_list(manifest: DatasetManifest, shard: Shard) -> Iterator[_Rows]:
    for entries in _batched(uri_lists.read_part(shard.uri), _FETCHED_ROWS):
        start = 0
        for fetched in uri_lists.iterate_fetched([entry.uri for entry in entries]):
            piece = entries[start : start + len(fetched.images)]
            names = [entry.label for entry in piece] if manifest.classes else []
            yield _Rows([entry.key for entry in piece], fetched.images, names, fetched.unreadable)
            start += len(piece)


def _rows(keys: list[str], found: Sequence[bytes | BrokenImage], names: list[str | None]) -> _Rows:
    fitting = [too_large() if isinstance(image, bytes) and len(image) > MOST_IMAGE_BYTES else image for image in found]
    unreadable = {row: image for row, image in enumerate(fitting) if isinstance(image, BrokenImage)}
    return _Rows(keys, [image if isinstance(image, bytes) else b"" for image in fitting], names, unreadable)


Item = TypeVar("Item")


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _class_indices(manifest: DatasetManifest, shard: Shard, rows: _Rows, start: int) -> list[int]:
    index_of = {name: index for index, name in enumerate(manifest.classes)}
    labels: list[int] = []
    for row, name in enumerate(rows.label_names):
        if name is None or name not in index_of:
            problem = "it has no label" if name is None else "its label is no class of the dataset"
            raise ShardReadError(shard.uri, f"row {start + row}: {problem}")
        labels.append(index_of[name])
    return labels


_READERS: dict[str, Callable[[DatasetManifest, Shard], Iterator[_Rows]]] = {
    "parquet": _read_parquet,
    "arrow": _read_arrow,
    "image_folder": _read_image_folder,
    "webdataset": _read_webdataset,
    "uri_list": _read_uri_list,
}
