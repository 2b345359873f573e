"""Where a training sample comes from: encoded image and target distribution of one row of one shard."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.data.errors import read_error
from workers.data.order.lanes import Layout
from workers.data.order.random_order import mixed
from workers.data.shards.materialized_shards import (
    ROW_GROUP_ROWS,
    MaterializedIndex,
    read_index,
    training_shard_uri,
)
from workers.data.shards.shard_readers import read_rows, read_shard
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.figures import SPARE_SHARDS, window_of
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.stages import PseudoLabels, part_name
from workers.training.loss import labeled_targets

_SHARDS_KEPT = window_of(lanes=1) + SPARE_SHARDS
_SELECTION_READERS = 16


def shards_kept(layout: Layout, images_a_step: int, worker: int, workers: int, processes: int) -> int:
    """How many shards a loader process of `worker` needs at hand, so that it reads each of them once an epoch."""
    return layout.lanes_read(images_a_step, worker, workers, processes) * (layout.window + SPARE_SHARDS)


class SampleSource(Protocol):
    """Random access to samples by (shard, row), for a reader that stays within a few shards at a time."""

    rows_per_shard: list[int]

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        """The encoded image and its target distribution, float32 (classes,)."""
        ...


class LabeledSource:
    """Labeled images; targets are one-hot with label smoothing."""

    def __init__(self, manifest_uri: str, num_classes: int, smoothing: float, shards_kept: int = _SHARDS_KEPT) -> None:
        self._manifest = require_manifest(manifest_uri)
        self._targets = labeled_targets(list(range(num_classes)), num_classes, smoothing).numpy()
        self._shard = lru_cache(maxsize=shards_kept)(partial(read_shard, self._manifest))
        self.rows_per_shard = [shard.rows for shard in self._manifest.shards]

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        images = self._shard(shard)
        if images.labels is None:
            raise StageError(FailureReason.BAD_DATA, f"{self._manifest.shards[shard].uri} has no labels")
        return images.images[row], self._targets[images.labels[row]]


@dataclass(frozen=True)
class _PseudoShard:
    """The images that are learned from, and perhaps some others."""

    images: Sequence[bytes]
    rows: np.ndarray
    """Which of the images each selected copy is of, (copies,)."""
    classes: np.ndarray
    """(images, k) class indices, most probable first."""
    targets: np.ndarray
    """(images, k) float32: what the student is to answer for those classes."""


class PseudoLabeledSource:
    """Selected pseudo-labeled images, duplicates included; targets are soft or hard as the recipe says."""

    def __init__(
        self, pseudo_labels: PseudoLabels, num_classes: int, recipe: Recipe, shards_kept: int = _SHARDS_KEPT
    ) -> None:
        self._pseudo_labels = pseudo_labels
        self._num_classes = num_classes
        self._recipe = recipe
        self._manifest = require_manifest(pseudo_labels.manifest_uri)
        self._shard = lru_cache(maxsize=shards_kept)(self._read)
        self.rows_per_shard = self._count_copies(self._manifest)

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        return _pseudo_sample(self._shard(shard), row, self._num_classes)

    def _count_copies(self, manifest: DatasetManifest) -> list[int]:
        with ThreadPoolExecutor(_SELECTION_READERS) as pool:
            selections = pool.map(self._read_selection, range(len(manifest.shards)))
            return [int(copies.sum()) for _, copies in selections]

    def _read_selection(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        table = _read_parquet(join_uri(self._pseudo_labels.selection_uri, part_name(shard)), ["row", "copies"])
        rows, copies = table["row"].to_numpy(), table["copies"].to_numpy()
        used = in_fraction(shard, rows, self._pseudo_labels.fraction)
        return rows[used], copies[used]

    def _read(self, shard: int) -> _PseudoShard:
        rows, copies = self._read_selection(shard)
        table = _read_parquet(
            join_uri(self._pseudo_labels.labels_uri, part_name(shard)), ["top_classes", "top_probabilities"]
        ).combine_chunks()
        return _PseudoShard(
            # Many shards are kept, of which few images may be selected.
            images=read_rows(self._manifest, shard, rows).images,
            rows=np.repeat(np.arange(len(rows)), copies),
            classes=_rows_by_k(table["top_classes"])[rows],
            targets=_recipe_targets(_rows_by_k(table["top_probabilities"])[rows], self._recipe),
        )


class MaterializedSource:
    """The same samples from training shards, where the selection was materialised: shuffled once as a whole already.

    A row group of theirs is what a shard is elsewhere.
    """

    def __init__(
        self,
        pseudo_labels: PseudoLabels,
        index: MaterializedIndex,
        num_classes: int,
        recipe: Recipe,
        shards_kept: int = _SHARDS_KEPT,
    ) -> None:
        self._selection_uri = pseudo_labels.selection_uri
        self._fraction = pseudo_labels.fraction
        self._num_classes = num_classes
        self._recipe = recipe
        self._groups = index.row_groups()
        self._shard = lru_cache(maxsize=shards_kept)(self._read)
        self.rows_per_shard = [group.rows for group in self._groups] if self._fraction >= 1 else self._count_rows()

    def sample(self, shard: int, row: int) -> tuple[bytes, np.ndarray]:
        return _pseudo_sample(self._shard(shard), row, self._num_classes)

    def _count_rows(self) -> list[int]:
        with ThreadPoolExecutor(_SELECTION_READERS) as pool:
            used = pool.map(self._used_of_file, range(1 + max(group.training_shard for group in self._groups)))
            return [len(rows) for groups in used for rows in groups]

    def _used_of_file(self, training_shard: int) -> list[np.ndarray]:
        """Of each row group of a file: one look at the file is enough for all of them."""
        names = ["pool_shard", "pool_row"]
        table = _read_parquet(training_shard_uri(self._selection_uri, training_shard), names)
        return [self._rows(table.slice(start, ROW_GROUP_ROWS)) for start in range(0, len(table), ROW_GROUP_ROWS)]

    def _rows(self, table) -> np.ndarray:
        """Those of the share that is used: the same images as of the pool itself."""
        return np.flatnonzero(in_fraction(table["pool_shard"].to_numpy(), table["pool_row"].to_numpy(), self._fraction))

    def _read(self, number: int) -> _PseudoShard:
        group = self._groups[number]
        columns = ["image", "top_classes", "top_probabilities", "pool_shard", "pool_row"]
        with _opened(training_shard_uri(self._selection_uri, group.training_shard)) as source:
            table = pq.ParquetFile(source, pre_buffer=True).read_row_group(group.group, columns=columns)
        return _PseudoShard(
            images=table["image"].to_pylist(),
            rows=self._rows(table),
            classes=_rows_by_k(table["top_classes"]),
            targets=_recipe_targets(_rows_by_k(table["top_probabilities"]), self._recipe),
        )


def pseudo_labeled_source(
    pseudo_labels: PseudoLabels, num_classes: int, recipe: Recipe, shards_kept: int = _SHARDS_KEPT
) -> SampleSource:
    """From the training shards of a materialised selection, or else from the pool, its labels and the selection."""
    index = read_index(pseudo_labels.selection_uri)
    if index is None:
        return PseudoLabeledSource(pseudo_labels, num_classes, recipe, shards_kept)
    return MaterializedSource(pseudo_labels, index, num_classes, recipe, shards_kept)


def _pseudo_sample(shard: _PseudoShard, row: int, num_classes: int) -> tuple[bytes, np.ndarray]:
    image = int(shard.rows[row])
    target = np.zeros(num_classes, dtype=np.float32)
    target[shard.classes[image]] = shard.targets[image]
    return shard.images[image], target


def _recipe_targets(probabilities: np.ndarray, recipe: Recipe) -> np.ndarray:
    return pseudo_targets(
        probabilities,
        hard=recipe.targets == "hard",
        # A fitted temperature is in the label files already.
        temperature=1.0 if recipe.temperature == "fit" else recipe.temperature,
    )


def pseudo_targets(probabilities: np.ndarray, *, hard: bool, temperature: float) -> np.ndarray:
    """Target probabilities, float32 (rows, k), of each row's k most probable classes, most probable first.

    Soft targets are p^(1/temperature), normalised over the k classes that were kept. Hard ones are one-hot.
    """
    if hard:
        targets = np.zeros(probabilities.shape, dtype=np.float32)
        targets[:, 0] = 1.0
        return targets
    wide = probabilities.astype(np.float32)
    with np.errstate(all="ignore"):  # rows of broken images hold anything, and are never selected
        # Relative to a row's largest, so that not all of its powers underflow.
        sharpened = (wide / wide[:, :1]) ** np.float32(1.0 / temperature)
        return np.asarray(sharpened / sharpened.sum(axis=1, keepdims=True), dtype=np.float32)


def in_fraction(shard: int | np.ndarray, rows: np.ndarray, fraction: float) -> np.ndarray:
    """Which rows of a shard belong to the share `fraction` of all: bool (rows,), a larger share has all of a smaller's.

    `shard` may be an array with the shard of each row. By a hash of shard and row.
    """
    if fraction >= 1:
        return np.ones(len(rows), dtype=bool)
    positions = (np.asarray(shard, dtype=np.uint64) << np.uint64(40)) + rows.astype(np.uint64)
    return mixed(positions) < np.uint64(fraction * 2**64)


def _read_parquet(uri: str, columns: list[str]) -> pa.Table:
    with _opened(uri) as source:
        return pq.read_table(source, columns=columns)


@contextmanager
def _opened(uri: str) -> Iterator[pa.NativeFile]:
    """A file that an earlier stage wrote. Errors inside the `with` block become ShardReadErrors that name it."""
    try:
        filesystem, path = open_filesystem(uri)
        with filesystem.open_input_file(path) as source:
            yield source
    except (OSError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error


def _rows_by_k(column) -> np.ndarray:
    """A fixed-size-list column as (rows, k); rows of broken images are never selected.

    They are zeros, or nulls in label files of earlier versions: to_numpy() would make floating point of the whole.
    """
    chunk = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    chunk = chunk.chunk(0) if hasattr(chunk, "chunk") else chunk
    values = chunk.values.fill_null(0) if chunk.values.null_count else chunk.values
    return values.to_numpy(zero_copy_only=False).reshape(len(chunk), chunk.type.list_size)
