"""Filter, cap and fill up: what each process does with its range of shards, and the decision between the passes.

count() a sample of the shards -> gather() every range -> Selector over every shard; or, where a sample does not do,
count() every range -> [count() -> ...] -> gather() -> Selector. Between them cutting.py decides. Doubts are read for
the last time by gather(): it leaves a bit a row, and selection then needs the labels alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.artifact_io import is_local
from workers.data.doubt import largest_doubt, order_bits
from workers.selection.best_rows import Candidates, Cut, DigitCounts, Keys, joined, keys_with_hashes
from workers.selection.copy_plan import CopyPlan
from workers.selection.extra_copies import drawn_once_more, extra_of_shard
from workers.selection.filtering import FilterCounts, confident_mask, filter_counts
from workers.selection.label_rows import NEVER, LabelRows, read_hashes, read_label_rows, read_listed_rows
from workers.specs.recipe import SelectionSettings
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER


@dataclass(frozen=True)
class Rules:
    """What selection goes by."""

    settings: SelectionSettings
    classes: int
    seed: int
    labels_uri: str
    with_near_duplicates: frozenset[int]
    """Shards that have near duplicates of evaluation images, where those are dropped."""
    with_duplicates: frozenset[int]
    """Shards that have duplicates, where those are dropped."""

    @property
    def is_remote(self) -> bool:
        """Whether label files are read over a network."""
        return not is_local(self.labels_uri)

    def read(self, shard: int) -> LabelRows:
        """The rows of a shard, those that are dropped marked as not to be learned from."""
        rows = read_label_rows(self.labels_uri, shard, self.classes)
        has_near, has_equal = shard in self.with_near_duplicates, shard in self.with_duplicates
        if not has_near and not has_equal:
            return rows
        doubts = rows.doubts.copy()
        near = self._drop(doubts, shard, NEAR_DUPLICATES_FOLDER) if has_near else 0
        equal = self._drop(doubts, shard, DUPLICATES_FOLDER) if has_equal else 0
        return LabelRows(rows.shard, rows.labels, doubts, near, equal)

    def _drop(self, doubts: npt.NDArray[np.float32], shard: int, folder: str) -> int:
        """Marks the rows that are listed, and gives the number of those that were usable until now."""
        listed = read_listed_rows(self.labels_uri, folder, shard)
        dropped = np.count_nonzero(doubts[listed] < NEVER)
        doubts[listed] = NEVER
        return int(dropped)

    def passing(self, rows: LabelRows) -> npt.NDArray[np.bool_]:
        """Rows of a shard that pass every filter."""
        return confident_mask(rows, largest_doubt(self.settings.min_confidence))


def count(shards: Iterable[LabelRows], rules: Rules, cut: Cut) -> npt.NDArray[np.int32]:
    """The next digits of a range's undecided rows."""
    digits = DigitCounts(cut)
    for rows in shards:
        keys = _keys(rows, rules, cut.needs_hashes)
        _, undecided = cut.parted(rows.labels, keys, rules.passing(rows))
        digits.add(np.take(rows.labels, undecided), np.take(keys, undecided))
    return digits.table


@dataclass(frozen=True)
class Gathered:
    """What is in a range of shards, and what the cut says of its rows."""

    counts: FilterCounts
    inside: npt.NDArray[np.int64]
    """(classes,) rows that are in."""
    sure: list[npt.NDArray[np.uint8]]
    """For each shard a bit a row (numpy.packbits): whether it is in."""
    undecided: Candidates


def gather(shards: Iterable[LabelRows], rules: Rules, cut: Cut, at_most: int) -> Gathered | None:
    """Filters the rows of a range, and tells those that are in from those that the cut leaves open.

    None where more than `at_most` rows are left open.
    """
    counts = FilterCounts.nothing(rules.classes)
    inside_by_class = np.zeros(rules.classes, dtype=np.int64)
    sure, parts, gathered = [], [], 0
    for rows in shards:
        passing = rules.passing(rows)
        counts += filter_counts(rows, passing, rules.classes)
        inside, undecided = cut.parted(rows.labels, _keys(rows, rules, cut.has_hashes), passing)
        inside_by_class += np.bincount(np.take(rows.labels, inside), minlength=rules.classes)
        sure.append(_bits(inside, len(rows.labels)))
        parts.append(_candidates(rows, undecided))
        gathered += len(undecided)
        if gathered > at_most:
            return None
    return Gathered(counts, inside_by_class, sure, joined(parts))


def hashes_of(tied: Candidates, rules: Rules) -> npt.NDArray[np.bytes_]:
    """The content hash of each row, dtype S16. Only the shards they are in are read."""
    hashes = np.empty(len(tied), dtype="S16")
    by_shard = np.argsort(tied.shards, kind="stable")
    shards, starts = np.unique(tied.shards[by_shard], return_index=True)
    for shard, here in zip(shards.tolist(), np.split(by_shard, starts[1:]), strict=True):
        hashes[here] = read_hashes(rules.labels_uri, shard)[tied.rows[here]]
    return hashes


@dataclass(frozen=True)
class Choice:
    """The whole decision, as a range of shards needs it."""

    plan: CopyPlan
    sure: list[npt.NDArray[np.uint8]]
    """As in Gathered."""
    chosen: Candidates
    """The rows of the range that were undecided, and are in, by shard."""
    confident: npt.NDArray[np.int64]
    """(classes,) of all shards."""
    before: npt.NDArray[np.int64]
    """(classes,) of the shards before the range."""


class Selector:
    """Goes through a range of shards in order."""

    def __init__(self, rules: Rules, choice: Choice) -> None:
        self._rules = rules
        self._choice = choice
        self._before = choice.before.copy()
        self._copies_each = choice.plan.copies_each.astype(np.int32)

    def selected(
        self, number: int, shard: int, labels: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The kept rows of the next shard, ascending, and how often each is to be learned from, at least once.

        `number` counts the shards of the range; `labels` are those of all rows of the shard.
        """
        choice = self._choice
        inside = np.unpackbits(choice.sure[number], count=len(labels)).view(bool)
        inside[choice.chosen.of_shards(range(shard, shard + 1)).rows] = True
        kept = np.flatnonzero(inside)
        kept_labels = np.take(labels, kept)
        copies = np.take(self._copies_each, kept_labels)
        copies += self._once_more(shard, kept, kept_labels)
        return kept.astype(np.int32), copies

    def _once_more(
        self, shard: int, kept: npt.NDArray[np.int64], labels: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        # A class that gets extra copies keeps all its confident images: those kept here are all there are here.
        plan, choice = self._choice.plan, self._choice
        here = np.bincount(labels, minlength=self._rules.classes)
        extra = extra_of_shard(self._rules.seed, self._before, here, choice.confident, plan.one_more)
        self._before += here
        return drawn_once_more(self._rules.seed, shard, kept, labels, extra)


def _bits(rows: npt.NDArray[np.int64], of: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros(of, dtype=bool)
    mask[rows] = True
    return np.packbits(mask)


def _candidates(rows: LabelRows, which: npt.NDArray[np.int64]) -> Candidates:
    shard = np.full(len(which), rows.shard, dtype=np.int32)
    order = np.take(order_bits(rows.doubts), which)
    return Candidates(shard, which.astype(np.int32), np.take(rows.labels, which), order)


def _keys(rows: LabelRows, rules: Rules, with_hashes: bool) -> Keys:
    order = order_bits(rows.doubts)
    return keys_with_hashes(order, read_hashes(rules.labels_uri, rows.shard)) if with_hashes else order
