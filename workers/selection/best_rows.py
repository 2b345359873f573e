"""The exact best m rows of each class over any number of shards, in bounded memory.

A row's key, by which its class is sorted, is an integer of 64 bits: the bits of its doubt, then the first bits of its
content hash. As in a radix selection, rows are counted by class and by the first digit of their keys, which tells in
which digit the m-th row lies. The few rows with that digit are gathered and sorted; if there are still too many, the
next digit is counted first. The counts of shards can be added in any order and on any number of processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64] | npt.NDArray[np.uint32]
"""(rows,): whole keys as uint64, or only their upper halves, the bits of the doubts, as uint32."""

KEY_BITS = 62
"""Doubts are at most 1.0, whose two highest bits are zero."""
HASH_BITS = 32
_COUNTERS = 1 << 22
"""The most counters in a table. At 4 bytes each they take 16 MiB, most of which fits into a processor's caches."""
NOTHING, EVERYTHING = np.uint64(0), np.uint64(1 << KEY_BITS)


def digit_bits(classes: int) -> int:
    """How many bits a digit may have so that the counts of all classes fit into the table."""
    return max(4, min(13, (_COUNTERS // max(1, classes)).bit_length() - 1))


@dataclass(frozen=True)
class Cut:
    """Where each class is cut: keys below `lower` are in, keys from `upper` on are out, those between are undecided.

    All arrays have the shape (classes,).
    """

    lower: npt.NDArray[np.uint64]
    upper: npt.NDArray[np.uint64]
    wanted: npt.NDArray[np.int64]
    """How many of the undecided rows are still to be taken."""
    undecided: npt.NDArray[np.int64]
    """How many rows are undecided."""
    shift: int
    """The undecided keys of a class agree in all bits above this one."""

    @classmethod
    def before_counting(cls, classes: int, wanted: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> "Cut":
        """The cut that takes `wanted` of each class's `rows`, before any key has been looked at."""
        everything = np.where(wanted >= rows, EVERYTHING, NOTHING)
        upper = np.where((wanted > 0) & (wanted < rows), EVERYTHING, everything)
        open_ = (upper > everything).astype(np.int64)
        return cls(everything, upper, wanted * open_, rows * open_, KEY_BITS)

    @classmethod
    def unknown(cls, classes: int) -> "Cut":
        """The cut while not even the number of rows is known: all rows are undecided."""
        nothing = np.full(classes, NOTHING)
        some = np.ones(classes, dtype=np.int64)
        return cls(nothing, np.full(classes, EVERYTHING), some, some, KEY_BITS)

    @property
    def is_decided(self) -> bool:
        return not self.undecided.any()

    @property
    def needs_hashes(self) -> bool:
        """Whether the next digit reaches into the hash."""
        return self.shift - self.digit_bits < HASH_BITS

    @property
    def digit_bits(self) -> int:
        """Bits of the next digit."""
        return min(self.shift, digit_bits(len(self.lower)))

    @property
    def has_hashes(self) -> bool:
        """Whether the bounds reach into the hash."""
        return self.shift < HASH_BITS

    def inside(self, classes: npt.NDArray[np.integer], keys: Keys) -> npt.NDArray[np.bool_]:
        """The rows that are in, as a mask. Keys without hashes are enough until the bounds reach into the hash."""
        mask: npt.NDArray[np.bool_] = keys < np.take(_bounds_for(keys, self.lower), classes)
        return mask

    def undecided_mask(
        self, classes: npt.NDArray[np.integer], keys: Keys, inside: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """The rows that are neither `inside` nor out, as a mask."""
        mask: npt.NDArray[np.bool_] = keys < np.take(_bounds_for(keys, self.upper), classes)
        mask &= ~inside
        return mask


def _bounds_for(keys: Keys, bounds: npt.NDArray[np.uint64]) -> Keys:
    return bounds if keys.dtype == np.uint64 else (bounds >> np.uint64(HASH_BITS)).astype(np.uint32)


def keys_with_hashes(order: npt.NDArray[np.uint32], hashes: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint64]:
    """Whole keys from the bits of doubts (`workers.data.confidence.order_bits`) and content hashes (dtype S16)."""
    keys = order.astype(np.uint64) << np.uint64(HASH_BITS)
    if len(hashes):
        keys |= np.ascontiguousarray(hashes).view(">u4").reshape(len(hashes), 4)[:, 0]
    return keys


@dataclass(frozen=True)
class UsedDigits:
    """The rows of a table of counts that are not all zero: in the benchmark, about half of them."""

    digits: npt.NDArray[np.int64]
    """(digits,): which digits these are."""
    counts: npt.NDArray[np.int32]
    """(digits, classes): how many rows have each digit."""


class DigitCounts:
    """How many undecided rows of each class have each value of the next digit. Counts of several parts can be added."""

    def __init__(self, cut: Cut) -> None:
        self._shift = cut.shift - cut.digit_bits
        self._bits = cut.digit_bits
        self._classes = len(cut.lower)
        self.table: npt.NDArray[np.int32] = np.zeros(self._classes << self._bits, dtype=np.int32)

    @property
    def by_class(self) -> npt.NDArray[np.int64]:
        """(classes,): how many rows have been counted."""
        added: npt.NDArray[np.int64] = self.table.reshape(-1, self._classes).sum(axis=0, dtype=np.int64)
        return added

    def add(self, classes: npt.NDArray[np.int32], keys: Keys, which: npt.NDArray[np.bool_]) -> None:
        """Counts the rows of one shard that the mask `which` marks; they are undecided ones."""
        shift = self._shift - (HASH_BITS if keys.dtype == np.uint32 else 0)
        chosen = np.flatnonzero(which)  # used twice: twice as fast as the mask
        digits = np.bitwise_and(np.right_shift(np.take(keys, chosen), shift), (1 << self._bits) - 1)
        # Ordered by digit, then by class: the digits in use then lie side by side, and few pages of memory are touched.
        places: npt.NDArray[np.int64] = digits.astype(np.int64)
        places *= self._classes
        places += np.take(classes, chosen)
        np.add.at(self.table, places, np.int32(1))

    def used(self) -> UsedDigits:
        """The counts as another process needs them to add them to its own."""
        by_digit = self.table.reshape(-1, self._classes)
        digits = np.flatnonzero(by_digit.any(axis=1))
        return UsedDigits(digits, by_digit[digits])

    def add_counted(self, part: UsedDigits) -> None:
        """Adds what another process has counted for the same cut."""
        self.table.reshape(-1, self._classes)[part.digits] += part.counts


def narrowed(cut: Cut, table: npt.NDArray[np.int32]) -> Cut:
    """The cut once the next digits of all undecided rows have been counted."""
    counts = table.reshape(-1, len(cut.lower)).T
    shift = cut.shift - cut.digit_bits
    totals = np.cumsum(counts, axis=1, dtype=np.int64)
    at = (totals < cut.wanted[:, None]).sum(axis=1)  # the first digit at which there are enough rows
    at = np.minimum(at, counts.shape[1] - 1)
    in_digit = np.take_along_axis(counts, at[:, None], axis=1)[:, 0].astype(np.int64)
    before = np.take_along_axis(totals, at[:, None], axis=1)[:, 0] - in_digit
    wanted = cut.wanted - before
    was_open = cut.undecided > 0
    start = cut.lower + (at.astype(np.uint64) << np.uint64(shift))
    end = start + np.uint64(1 << shift)
    all_wanted = wanted >= in_digit
    lower = np.where(was_open, np.where(all_wanted, end, start), cut.lower)
    upper = np.where(was_open, end, cut.upper)
    still_open = was_open & ~all_wanted
    return Cut(lower, upper, np.where(still_open, wanted, 0), np.where(still_open, in_digit, 0), shift)


@dataclass(frozen=True)
class Candidates:
    """Undecided rows of one or more shards. All arrays have the shape (candidates,)."""

    shards: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int32]
    order: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, which: npt.NDArray[np.generic] | slice) -> "Candidates":
        """The candidates that a mask, indices or a slice choose."""
        return Candidates(self.shards[which], self.rows[which], self.classes[which], self.order[which])

    def by_shard(self) -> "Candidates":
        """The same candidates, ordered by shard."""
        return self.taken(np.argsort(self.shards, kind="stable"))

    def of_shards(self, shards: range) -> "Candidates":
        """The candidates of consecutive shards. They must be ordered `by_shard`."""
        # The same dtype as the shards: otherwise numpy would convert all of them before it compares.
        ends = np.array([shards.start, shards.stop], dtype=self.shards.dtype)
        start, end = np.searchsorted(self.shards, ends)
        return self.taken(slice(start, end))


def joined(parts: Sequence[Candidates]) -> Candidates:
    """The candidates of several parts together."""
    return Candidates(
        np.concatenate([part.shards for part in parts] or [np.empty(0, np.int32)]),
        np.concatenate([part.rows for part in parts] or [np.empty(0, np.int32)]),
        np.concatenate([part.classes for part in parts] or [np.empty(0, np.int32)]),
        np.concatenate([part.order for part in parts] or [np.empty(0, np.uint32)]),
    )


def split_by_order(candidates: Candidates, cut: Cut) -> tuple[Candidates, Candidates, npt.NDArray[np.int64]]:
    """Splits candidates by doubt: those that are in, those that tie, and (classes,) the places left for the tied."""
    classes, order = candidates.classes, candidates.order
    # Class and doubt are packed into one integer: numpy sorts integers ten times as fast as pairs of keys.
    places = (classes.astype(np.uint64) << np.uint64(32)) | order
    places.sort()
    starts = np.searchsorted(places, np.arange(len(cut.wanted), dtype=np.uint64) << np.uint64(32))
    last = np.zeros(len(cut.wanted), dtype=np.uint32)
    some = cut.wanted > 0
    last[some] = (places[starts[some] + cut.wanted[some] - 1] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    last_of_class = last[classes]
    better = order < last_of_class
    tied = (order == last_of_class) & some[classes]
    taken_of_tied = cut.wanted - np.bincount(classes[better], minlength=len(cut.wanted))
    ties = np.bincount(classes[tied], minlength=len(cut.wanted))
    whole = tied & (taken_of_tied >= ties)[classes]
    left = np.where(taken_of_tied >= ties, 0, taken_of_tied)
    return candidates.taken(better | whole), candidates.taken(tied & ~whole), left


def first_by_hash(tied: Candidates, hashes: npt.NDArray[np.bytes_], wanted: npt.NDArray[np.int64]) -> Candidates:
    """The first `wanted` candidates of each class, ordered by content hash; equal images by shard and row."""
    by_hash = np.lexsort((tied.rows, tied.shards, hashes, tied.classes))
    ordered = tied.taken(by_hash)
    starts = np.searchsorted(ordered.classes, np.arange(len(wanted)))
    rank = np.arange(len(ordered)) - starts[ordered.classes]
    return ordered.taken(rank < wanted[ordered.classes])
