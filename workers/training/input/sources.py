"""Sources of training samples: the encoded image and the target distribution of a row of a shard."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem
from workers.data.alignment import read_alignment
from workers.data.errors import read_error
from workers.data.marks import SelectionMarks
from workers.data.order.lanes import Layout
from workers.data.order.random_order import mixed
from workers.data.shards.materialized_shards import ROW_GROUP_ROWS, MaterializedIndex, read_index, training_shard_uri
from workers.data.shards.shard_readers import read_rows, read_shard
from workers.data.soft_labels import SOFT_LABEL_COLUMNS, ListedClasses
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.figures import SPARE_SHARDS, window_of
from workers.specs.imbalance import ClassWeights
from workers.specs.labeling import PseudoLabels
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.stages import part_name
from workers.training.class_weights import class_weights_of
from workers.training.input.pseudo_targets import PseudoTargets, Target, pseudo_targets
from workers.training.loss import labeled_targets

Rows = npt.NDArray[np.int64]
"""(rows,): places in a shard."""

_SHARDS_KEPT = window_of(lanes=1) + SPARE_SHARDS
_SELECTION_READERS = 16


def shards_kept(layout: Layout, images_a_step: int, worker: int, workers: int, processes: int) -> int:
    """How many shards a loader process of `worker` must keep, so that it reads each shard once an epoch."""
    return layout.lanes_read(images_a_step, worker, workers, processes) * (layout.window + SPARE_SHARDS)


class SampleSource(Protocol):
    """Random access to samples by shard and row, for readers that stay within a few shards at a time."""

    rows_per_shard: list[int]

    def sample(self, shard: int, row: int) -> tuple[bytes, Target]:
        """The encoded image, and its target."""
        ...


class LabeledSource:
    """Labeled images. Targets are one-hot with label smoothing (Szegedy et al. 2016), times their class's weight."""

    def __init__(
        self,
        manifest_uri: str,
        num_classes: int,
        smoothing: float,
        shards_kept: int = _SHARDS_KEPT,
        class_weights: ClassWeights = "none",
    ) -> None:
        self._manifest = require_manifest(manifest_uri)
        self._targets = labeled_targets(list(range(num_classes)), num_classes, smoothing).numpy()
        if class_weights != "none":
            self._targets *= class_weights_of(class_weights, self._manifest)[:, None]
        self._shard = lru_cache(maxsize=shards_kept)(partial(read_shard, self._manifest))
        self.rows_per_shard = [shard.rows for shard in self._manifest.shards]

    def sample(self, shard: int, row: int) -> tuple[bytes, Target]:
        images = self._shard(shard)
        if images.labels is None:
            raise StageError(FailureReason.BAD_DATA, f"{self._manifest.shards[shard].uri} has no labels")
        return images.images[row], self._targets[images.labels[row]]


@dataclass(frozen=True)
class _PseudoShard:
    """The images of a shard that are learned from, and perhaps some others."""

    images: Sequence[bytes]
    rows: Rows
    """(copies,): which of the images each selected copy is of."""
    targets: PseudoTargets
    """What the student is to answer for each image."""

    def sample(self, row: int) -> tuple[bytes, Target]:
        image = int(self.rows[row])
        return self.images[image], self.targets.of(image)


class PseudoLabeledSource:
    """Selected pseudo-labeled images, repeated as selected. Targets are soft or hard (Xie et al., section 2)."""

    def __init__(
        self, pseudo_labels: PseudoLabels, num_classes: int, recipe: Recipe, shards_kept: int = _SHARDS_KEPT
    ) -> None:
        self._pseudo_labels = pseudo_labels
        self._recipe = recipe
        self._ratios = read_alignment(pseudo_labels.selection_uri, num_classes)
        self._marks = SelectionMarks.of(pseudo_labels.selection_uri)
        self._manifest = require_manifest(pseudo_labels.manifest_uri)
        self._shard = lru_cache(maxsize=shards_kept)(self._read)
        self.rows_per_shard = self._count_copies(self._manifest)

    def sample(self, shard: int, row: int) -> tuple[bytes, Target]:
        return self._shard(shard).sample(row)

    def _count_copies(self, manifest: DatasetManifest) -> list[int]:
        with ThreadPoolExecutor(_SELECTION_READERS) as pool:
            selections = pool.map(self._read_selection, range(len(manifest.shards)))
            return [int(copies.sum()) for _, copies in selections]

    def _read_selection(self, shard: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        table = _read_parquet(join_uri(self._pseudo_labels.selection_uri, part_name(shard)), ["row", "copies"])
        rows, copies = table["row"].to_numpy(), table["copies"].to_numpy()
        used = in_fraction(shard, rows, self._pseudo_labels.fraction)
        return rows[used], copies[used]

    def _read(self, shard: int) -> _PseudoShard:
        rows, copies = self._read_selection(shard)
        labels = _read_parquet(join_uri(self._pseudo_labels.labels_uri, part_name(shard)), SOFT_LABEL_COLUMNS)
        listed = self._marks.applied_to(shard, ListedClasses.of(labels))
        soft_labels = listed.taken(rows).weighed(self._ratios)
        return _PseudoShard(
            # Many shards are kept, and few of their images may be selected.
            images=read_rows(self._manifest, shard, rows).images,
            rows=np.repeat(np.arange(len(rows)), copies),
            targets=pseudo_targets(soft_labels, self._recipe),
        )


class MaterializedSource:
    """The same samples from the training shards of a materialised selection, which are shuffled as a whole already.

    A row group of a training shard is what a shard is elsewhere.
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
        self._recipe = recipe
        self._ratios = read_alignment(pseudo_labels.selection_uri, num_classes)
        self._groups = index.row_groups()
        self._shard = lru_cache(maxsize=shards_kept)(self._read)
        self.rows_per_shard = [group.rows for group in self._groups] if self._fraction >= 1 else self._count_rows()

    def sample(self, shard: int, row: int) -> tuple[bytes, Target]:
        return self._shard(shard).sample(row)

    def _count_rows(self) -> list[int]:
        with ThreadPoolExecutor(_SELECTION_READERS) as pool:
            used = pool.map(self._used_of_file, range(1 + max(group.training_shard for group in self._groups)))
            return [len(rows) for groups in used for rows in groups]

    def _used_of_file(self, training_shard: int) -> list[Rows]:
        """The used rows of each row group of a file, which is read once for all of them."""
        names = ["pool_shard", "pool_row"]
        table = _read_parquet(training_shard_uri(self._selection_uri, training_shard), names)
        return [self._rows(table.slice(start, ROW_GROUP_ROWS)) for start in range(0, len(table), ROW_GROUP_ROWS)]

    def _rows(self, table: pa.Table) -> Rows:
        """The rows of the share that is used: the same images as without training shards."""
        return np.flatnonzero(in_fraction(table["pool_shard"].to_numpy(), table["pool_row"].to_numpy(), self._fraction))

    def _read(self, number: int) -> _PseudoShard:
        group = self._groups[number]
        columns = ["image", *SOFT_LABEL_COLUMNS, "pool_shard", "pool_row"]
        with _opened(training_shard_uri(self._selection_uri, group.training_shard)) as source:
            table = pq.ParquetFile(source, pre_buffer=True).read_row_group(group.group, columns=columns)
        return _PseudoShard(
            images=table["image"].to_pylist(),
            rows=self._rows(table),
            targets=pseudo_targets(ListedClasses.of(table).weighed(self._ratios), self._recipe),
        )


def pseudo_labeled_source(
    pseudo_labels: PseudoLabels, num_classes: int, recipe: Recipe, shards_kept: int = _SHARDS_KEPT
) -> SampleSource:
    """The source of pseudo-labeled images: training shards if there are any, else pool, labels and selection."""
    index = read_index(pseudo_labels.selection_uri)
    if index is None:
        return PseudoLabeledSource(pseudo_labels, num_classes, recipe, shards_kept)
    return MaterializedSource(pseudo_labels, index, num_classes, recipe, shards_kept)


def in_fraction(
    shard: int | npt.NDArray[np.integer], rows: npt.NDArray[np.integer], fraction: float
) -> npt.NDArray[np.bool_]:
    """Which rows of a shard belong to the share `fraction` of all rows, as a mask (rows,).

    A hash of shard and row decides, so that a larger share includes all rows of a smaller one. `shard` may be an array
    with the shard of each row.
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
    """Opens a file that an earlier stage wrote. Errors inside the `with` block become ShardReadErrors that name it."""
    try:
        filesystem, path = open_filesystem(uri)
        with filesystem.open_input_file(path) as source:
            yield source
    except (OSError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error
