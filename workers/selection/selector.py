"""Filter, cap and fill up, a shard at a time. Shards may come in any order: what they give is added up.

scan() every shard into Totals -> decide() -> boundary() of every shard -> Chooser -> copies() of every shard.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.selection.copy_plan import CopyPlan, plan_copies
from workers.selection.exact_first import (
    BinCounts,
    Boundaries,
    FirstRows,
    OrderedRows,
    boundaries,
    boundary_rows,
    by_confidence,
    by_random_key,
)
from workers.selection.filtering import FilterCounts, confident_rows
from workers.selection.label_rows import LabelRows
from workers.selection.random_order import random_keys
from workers.specs.recipe import SelectionSettings


@dataclass(frozen=True)
class Rules:
    """What selection goes by."""

    settings: SelectionSettings
    classes: int
    seed: int
    held_out: npt.NDArray[np.bytes_]
    """Sorted content hashes of images that are never trained on, dtype S16."""


@dataclass(frozen=True)
class Scan:
    """What one shard tells the decision."""

    counts: FilterCounts
    by_confidence: OrderedRows
    by_random_key: OrderedRows


class Totals:
    """The scans of all shards, added up."""

    def __init__(self, classes: int) -> None:
        self.counts = FilterCounts.nothing(classes)
        self.confidence_bins = BinCounts(classes)
        self.random_bins = BinCounts(classes)

    def add(self, one: Scan) -> None:
        """Adds one shard."""
        self.counts += one.counts
        self.confidence_bins.add(one.by_confidence)
        self.random_bins.add(one.by_random_key)


@dataclass(frozen=True)
class Decision:
    """How many of each class, and how far down each order they reach."""

    plan: CopyPlan
    kept: Boundaries
    """In the order of confidence."""
    one_more: Boundaries
    """In random order."""


def scan(rows: LabelRows, rules: Rules) -> Scan:
    """Filters one shard."""
    passing, counts = confident_rows(rows, rules.classes, rules.settings.min_confidence, rules.held_out)
    return Scan(counts, _confidence_order(rows, passing), _random_order(rows, passing, rules))


def decide(totals: Totals, settings: SelectionSettings) -> Decision:
    """From the totals of all shards."""
    plan = plan_copies(totals.counts.confident, settings.max_per_class, settings.fill_up)
    return Decision(plan, boundaries(totals.confidence_bins, plan.kept), boundaries(totals.random_bins, plan.one_more))


def boundary(rows: LabelRows, rules: Rules, decision: Decision) -> tuple[OrderedRows, OrderedRows]:
    """One shard's rows that only a comparison with other shards' rows can decide, in either order."""
    passing = _passing(rows, rules)
    return (
        boundary_rows(_confidence_order(rows, passing), decision.kept),
        boundary_rows(_random_order(rows, passing, rules), decision.one_more),
    )


class Chooser:
    """The whole decision, down to the row."""

    def __init__(self, rules: Rules, decision: Decision, gathered: list[tuple[OrderedRows, OrderedRows]]) -> None:
        """`gathered` are the boundaries of all shards."""
        self._rules = rules
        self._plan = decision.plan
        self._kept = FirstRows(decision.kept, [confidence for confidence, _ in gathered])
        self._one_more = FirstRows(decision.one_more, [random for _, random in gathered])

    def copies(self, rows: LabelRows) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The kept rows of one shard, ascending, and how often each is to be learned from, at least once."""
        passing = _passing(rows, self._rules)
        kept = passing[self._kept.contains(_confidence_order(rows, passing))]
        # A class that gets extra copies keeps all its confident images, so its random order is that of the kept ones.
        one_more = self._one_more.contains(_random_order(rows, kept, self._rules))
        copies = self._plan.copies_each[rows.labels[kept]] + one_more
        return kept.astype(np.int32), copies.astype(np.int32)


def _passing(rows: LabelRows, rules: Rules) -> npt.NDArray[np.int64]:
    return confident_rows(rows, rules.classes, rules.settings.min_confidence, rules.held_out)[0]


def _confidence_order(rows: LabelRows, chosen: npt.NDArray[np.int64]) -> OrderedRows:
    return by_confidence(rows.shard, chosen, rows.labels[chosen], rows.confidences[chosen], rows.hashes[chosen])


def _random_order(rows: LabelRows, chosen: npt.NDArray[np.int64], rules: Rules) -> OrderedRows:
    keys = random_keys(rules.seed, rows.shard, len(rows.labels))
    return by_random_key(rows.shard, chosen, rows.labels[chosen], keys[chosen])
