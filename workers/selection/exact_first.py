"""The exact first m rows of each class in some total order, over any number of shards, in bounded memory.

Three passes, each a shard at a time and in any order of shards: count rows by class and coarse bin (`BinCounts`, merged
by adding); gather the rows of the one bin in each class where the m-th row lies (`BoundaryRows`); then every shard can
tell for itself which of its rows are among the first (`FirstRows.contains`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 1025


@dataclass(frozen=True)
class OrderedRows:
    """Rows of one shard that take part, with their place in the order: by bin first, by the keys then.

    Rows of a lower bin come first whatever their keys. Within a bin rows are ordered by `primary`, `secondary`, shard
    and row, all ascending.
    """

    shard: int
    rows: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    bins: npt.NDArray[np.int64]
    primary: npt.NDArray[np.generic]
    secondary: npt.NDArray[np.generic]


def by_confidence(
    shard: int,
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int32],
    confidences: npt.NDArray[np.float32],
    hashes: npt.NDArray[np.bytes_],
) -> OrderedRows:
    """The most confident first; equals by content hash."""
    bins = BINS - 1 - np.clip(np.floor(confidences.astype(np.float64) * (BINS - 1)), 0, BINS - 1).astype(np.int64)
    return OrderedRows(shard, rows, classes, bins, -confidences, hashes)


def by_random_key(
    shard: int, rows: npt.NDArray[np.int64], classes: npt.NDArray[np.int32], keys: npt.NDArray[np.uint64]
) -> OrderedRows:
    """The lowest key first."""
    bins = (keys >> np.uint64(54)).astype(np.int64)
    return OrderedRows(shard, rows, classes, bins, keys, np.zeros(len(keys), dtype=np.int8))


class BinCounts:
    """How many rows each bin of each class has, over the shards that were added. The order of adding is all one."""

    def __init__(self, classes: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, BINS), dtype=np.int64)

    def add(self, ordered: OrderedRows) -> None:
        """Adds one shard."""
        np.add.at(self.counts, (ordered.classes, ordered.bins), 1)


@dataclass(frozen=True)
class Boundaries:
    """For each class the bin where its m-th row lies: rows of lower bins are in, of higher bins out."""

    bins: npt.NDArray[np.int64]
    """(classes,); -1 where no row is wanted, BINS where all are."""
    wanted_of_bin: npt.NDArray[np.int64]
    """(classes,) rows still to be taken from that bin, in order."""


def boundaries(bin_counts: BinCounts, wanted: npt.NDArray[np.int64]) -> Boundaries:
    """`bin_counts` of all shards, and m for each class, (classes,)."""
    totals = np.cumsum(bin_counts.counts, axis=1)
    bins = (totals < wanted[:, None]).sum(axis=1)  # the first bin by which there are enough
    before = np.where(bins > 0, np.take_along_axis(totals, np.maximum(bins - 1, 0)[:, None], axis=1)[:, 0], 0)
    none, all_of_them = wanted <= 0, wanted >= totals[:, -1]
    bins = np.where(none, -1, np.where(all_of_them, BINS, bins))
    return Boundaries(bins, np.where(none | all_of_them, 0, wanted - before))


def boundary_rows(ordered: OrderedRows, limits: Boundaries) -> OrderedRows:
    """The rows of one shard that lie in their class's boundary bin."""
    return _taken(ordered, ordered.bins == limits.bins[ordered.classes])


class FirstRows:
    """Decides for each row whether it is among the first of its class."""

    def __init__(self, limits: Boundaries, gathered: list[OrderedRows]) -> None:
        """`gathered` are the boundary rows of all shards, in any order."""
        self._limits = limits
        self._chosen: dict[int, npt.NDArray[np.int64]] = _chosen_by_shard(limits, gathered)

    def contains(self, ordered: OrderedRows) -> npt.NDArray[np.bool_]:
        """A mask of one shard's rows."""
        chosen = self._chosen.get(ordered.shard, np.empty(0, dtype=np.int64))
        return (ordered.bins < self._limits.bins[ordered.classes]) | np.isin(ordered.rows, chosen)


def _chosen_by_shard(limits: Boundaries, gathered: list[OrderedRows]) -> dict[int, npt.NDArray[np.int64]]:
    gathered = [part for part in gathered if part.rows.size]
    if not gathered:
        return {}
    shards = np.concatenate([np.full(part.rows.size, part.shard, dtype=np.int64) for part in gathered])
    rows = np.concatenate([part.rows for part in gathered])
    classes = np.concatenate([part.classes for part in gathered])
    primary = np.concatenate([part.primary for part in gathered])
    secondary = np.concatenate([part.secondary for part in gathered])
    order = np.lexsort((rows, shards, secondary, primary, classes))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first_of_class = np.searchsorted(classes[order], classes)
    is_chosen = place - first_of_class < limits.wanted_of_bin[classes]
    by_shard = np.flatnonzero(is_chosen)[np.argsort(shards[is_chosen], kind="stable")]
    found, starts = np.unique(shards[by_shard], return_index=True)
    return dict(zip(found.tolist(), np.split(rows[by_shard], starts[1:]), strict=True))


def _taken(ordered: OrderedRows, mask: npt.NDArray[np.bool_]) -> OrderedRows:
    return OrderedRows(
        ordered.shard,
        ordered.rows[mask],
        ordered.classes[mask],
        ordered.bins[mask],
        ordered.primary[mask],
        ordered.secondary[mask],
    )
