"""Filters, caps and fills up (Xie et al., section 3.1): what each process does with its range of shards.

The passes are scan() -> [count() -> ...] -> sift() -> Selector. Each goes over all ranges, and stage.py decides between
them. sift() leaves one bit for each row, and the Selector needs the labels alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from workers.artifact_io import is_local
from workers.data.confidence import largest_doubts, order_bits
from workers.data.marks import MarkedRows, SelectionMarks
from workers.data.soft_labels import ListedClasses
from workers.selection.best_rows import Candidates, Cut, DigitCounts, Keys, UsedDigits, joined, keys_with_hashes
from workers.selection.class_balance import ClassBalance
from workers.selection.extra_copies import drawn_once_more, extra_of_shard
from workers.selection.filtering import FilterCounts, confident_mask, filter_counts
from workers.selection.label_rows import (
    NEVER,
    LabelRows,
    read_hashes,
    read_label_rows,
    read_labels,
    read_listed_classes,
    read_listed_rows,
)
from workers.selection.marked_rows import with_marks
from workers.specs.selection import SelectionSettings
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER


@dataclass(frozen=True)
class Rules:
    """What decides a selection: its settings, the labels, and the seed of its random draws."""

    settings: SelectionSettings
    classes: int
    seed: int
    labels_uri: str
    with_near_duplicates: frozenset[int]
    """The shards with near duplicates of evaluation images; empty if near duplicates are kept."""
    with_duplicates: frozenset[int]
    """The shards with duplicates; empty if duplicates are kept."""
    aligned_uri: str | None = None
    """The folder with the labels and doubts of aligned rows; None: the teacher's own count, those in `labels_uri`."""
    thresholds: npt.NDArray[np.float64] | None = None
    """(classes,): the confidence that the images of each class need; None: settings.min_confidence for all."""
    marks: SelectionMarks | None = None
    """The rows that people have marked; None if nothing is."""

    @property
    def rows_uri(self) -> str:
        """The folder of the labels and doubts that count."""
        return self.aligned_uri or self.labels_uri

    @property
    def is_remote(self) -> bool:
        """Whether label files are read over a network."""
        return not is_local(self.labels_uri)

    def read(self, shard: int) -> LabelRows:
        """The rows of a shard as they count: without those that are dropped, and with the labels that people gave."""
        return self.counted(read_label_rows(self.rows_uri, shard, self.classes))

    def teacher_and_labels(self, shard: int) -> tuple[LabelRows, npt.NDArray[np.int32]]:
        """The rows of a shard as the teacher labeled them, without those that are dropped, and the labels that count.

        These are int32 (rows,), and -1 for a broken image.
        """
        teacher = self.without_dropped(read_label_rows(self.labels_uri, shard, self.classes))
        marked = self._marked(shard)
        labels = teacher.labels if self.aligned_uri is None else read_labels(self.aligned_uri, shard)
        if marked is None:
            return teacher, labels
        rows, given = marked.given
        labels = labels.copy()
        labels[rows] = given
        return teacher, labels

    def listed(self, shard: int) -> ListedClasses:
        """The most probable classes of a shard's rows, and their probabilities."""
        listed, marked = read_listed_classes(self.labels_uri, shard, self.classes), self._marked(shard)
        return listed if marked is None else marked.applied_to(listed)

    def counted(self, rows: LabelRows) -> LabelRows:
        """The rows of a shard without those that are dropped, and with the labels that people gave."""
        kept, marked = self.without_dropped(rows), self._marked(rows.shard)
        return kept if marked is None else with_marks(kept, marked)

    def _marked(self, shard: int) -> MarkedRows | None:
        return None if self.marks is None else self.marks.of_shard(shard)

    def without_dropped(self, rows: LabelRows) -> LabelRows:
        """The rows of a shard, of which those that are dropped as duplicates are marked as not to be learned from."""
        shard = rows.shard
        has_near, has_equal = shard in self.with_near_duplicates, shard in self.with_duplicates
        if not has_near and not has_equal:
            return rows
        doubts = rows.doubts.copy()
        near = self._drop(doubts, shard, NEAR_DUPLICATES_FOLDER) if has_near else 0
        equal = self._drop(doubts, shard, DUPLICATES_FOLDER) if has_equal else 0
        return LabelRows(rows.shard, rows.labels, doubts, near, equal)

    def _drop(self, doubts: npt.NDArray[np.float32], shard: int, folder: str) -> int:
        """Marks the listed rows in `doubts`, and returns how many of them were usable until now."""
        listed = read_listed_rows(self.labels_uri, folder, shard)
        dropped = np.count_nonzero(doubts[listed] < NEVER)
        doubts[listed] = NEVER
        return int(dropped)

    def passing(self, rows: LabelRows) -> npt.NDArray[np.bool_]:
        """The rows of a shard that pass every filter, as a mask."""
        return confident_mask(rows, self._largest_doubts)

    @cached_property
    def fixed_doubt(self) -> np.float32:
        """The largest doubt with which an image passes settings.min_confidence."""
        return np.float32(largest_doubts(np.array(self.settings.min_confidence)))

    @cached_property
    def _largest_doubts(self) -> npt.NDArray[np.float32] | np.float32:
        return self.fixed_doubt if self.thresholds is None else largest_doubts(self.thresholds)


@dataclass(frozen=True)
class Scan:
    """What the first pass finds in a range of shards."""

    counts: FilterCounts
    confident: npt.NDArray[np.int64]
    """(classes,): rows that pass every filter."""


def scan(shards: Iterable[LabelRows], rules: Rules) -> tuple[Scan, UsedDigits]:
    """Filters a range of shards, and counts the first digits of the rows that pass."""
    counts = FilterCounts.nothing(rules.classes)
    digits = DigitCounts(Cut.unknown(rules.classes))
    for rows in shards:
        passing = rules.passing(rows)
        counts += filter_counts(rows, passing, rules.classes)
        digits.add(rows.labels, order_bits(rows.doubts), passing)
    return Scan(counts, digits.by_class), digits.used()


def count(shards: Iterable[LabelRows], rules: Rules, cut: Cut) -> UsedDigits:
    """Counts the next digits of a range's undecided rows."""
    digits = DigitCounts(cut)
    for rows in shards:
        keys = _keys(rows, rules, cut.needs_hashes)
        undecided = cut.undecided_mask(rows.labels, keys, cut.inside(rows.labels, keys))
        digits.add(rows.labels, keys, undecided & rules.passing(rows))
    return digits.used()


@dataclass(frozen=True)
class Sifted:
    """A range of shards, sorted into rows that are in, out or undecided."""

    sure: list[npt.NDArray[np.uint8]]
    """For each shard one bit for each row, as of numpy.packbits: whether the row is in."""
    undecided: Candidates


def sift(shards: Iterable[LabelRows], rules: Rules, cut: Cut) -> Sifted:
    """Finds the rows of a range that are in, and those that the cut leaves undecided."""
    sure, parts = [], []
    for rows in shards:
        keys, passing = _keys(rows, rules, cut.has_hashes), rules.passing(rows)
        inside = cut.inside(rows.labels, keys)
        sure.append(np.packbits(inside & passing))
        found = np.flatnonzero(cut.undecided_mask(rows.labels, keys, inside) & passing)
        shard = np.full(len(found), rows.shard, dtype=np.int32)
        parts.append(Candidates(shard, found.astype(np.int32), rows.labels[found], order_bits(rows.doubts)[found]))
    return Sifted(sure, joined(parts))


def hashes_of(tied: Candidates, rules: Rules) -> npt.NDArray[np.bytes_]:
    """The content hash of each candidate, dtype S16. Only the shards that hold them are read."""
    hashes = np.empty(len(tied), dtype="S16")
    by_shard = np.argsort(tied.shards, kind="stable")
    shards, starts = np.unique(tied.shards[by_shard], return_index=True)
    for shard, here in zip(shards.tolist(), np.split(by_shard, starts[1:]), strict=True):
        hashes[here] = read_hashes(rules.labels_uri, shard)[tied.rows[here]]
    return hashes


@dataclass(frozen=True)
class Choice:
    """The decision of the whole selection, as far as one range of shards needs it."""

    balance: ClassBalance
    sure: list[npt.NDArray[np.uint8]]
    """For each shard one bit for each row, as in `Sifted`."""
    chosen: Candidates
    """The rows of the range that were undecided and turned out to be in, ordered by shard."""
    confident: npt.NDArray[np.int64]
    """(classes,): confident rows of all shards."""
    before: npt.NDArray[np.int64]
    """(classes,): confident rows of the shards before this range."""


class Selector:
    """Decides which rows of a range of shards are kept. The shards are asked for in order."""

    def __init__(self, rules: Rules, choice: Choice) -> None:
        self._rules = rules
        self._choice = choice
        self._before = choice.before.copy()

    def selected(
        self, number: int, shard: int, labels: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The kept rows of the next shard, int32 and ascending, and how often each is repeated, at least once.

        `shard` is the `number`-th of the range; `labels` are those of all its rows.
        """
        choice = self._choice
        inside = np.unpackbits(choice.sure[number], count=len(labels)).view(bool)
        inside[choice.chosen.of_shards(range(shard, shard + 1)).rows] = True
        kept = np.flatnonzero(inside)
        kept_labels = np.take(labels, kept)
        copies = np.take(choice.balance.copies_each, kept_labels) + self._once_more(shard, kept, kept_labels)
        return kept.astype(np.int32), copies.astype(np.int32)

    def _once_more(
        self, shard: int, kept: npt.NDArray[np.int64], labels: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        # A class that gets extra copies keeps all its confident images, so the kept ones of this shard are all of them.
        balance, choice = self._choice.balance, self._choice
        here = np.bincount(labels, minlength=self._rules.classes)
        extra = extra_of_shard(self._rules.seed, self._before, here, choice.confident, balance.one_more)
        self._before += here
        return drawn_once_more(self._rules.seed, shard, kept, labels, extra)


def _keys(rows: LabelRows, rules: Rules, with_hashes: bool) -> Keys:
    order = order_bits(rows.doubts)
    return keys_with_hashes(order, read_hashes(rules.labels_uri, rows.shard)) if with_hashes else order
