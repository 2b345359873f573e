"""Decides which rows of all shards are the best of their classes, in as few passes over the label files as will do."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from workers.selection import selector
from workers.selection.best_rows import (
    Candidates,
    Cut,
    first_by_hash,
    guessed,
    joined,
    narrowed,
    split_by_order,
)
from workers.selection.label_rows import LabelRows
from workers.selection.ranges import divided, read_ahead
from workers.selection.selector import Choice, Gathered, Rules

_GATHERED_AT_MOST = 4_000_000
"""Undecided rows that are compared in memory, 16 bytes each; of more than these another digit is counted first."""
_GUESSED_AT_MOST = 8_000_000
"""As many as a guess may leave undecided: twice as many, but no hashes are read where they hardly tie."""
_SAMPLED = 8
"""Every so many-th shard is counted for a guess."""

Outcome = TypeVar("Outcome")


class Passes:
    """Runs a function over ranges of shards, on the executor's processes, and gives their outcomes in order."""

    def __init__(self, executor: Executor, rows: Sequence[int], parts: int, rules: Rules) -> None:
        self._executor = executor
        self.rules = rules
        self.ranges = divided(range(len(rows)), parts)
        # As long as the others: each brings a table of counts.
        self.sample = divided(range(0, len(rows), _SAMPLED), max(1, parts // _SAMPLED))
        # One row more in both: there may be none.
        self.sampled_share = (1 + sum(rows[::_SAMPLED])) / (1 + sum(rows))

    def run(self, function: Callable[..., Outcome], ranges: list[range], *arguments: list[Choice]) -> Iterator[Outcome]:
        """`function(rules, shards)`, or with one of `arguments` for each range as well."""
        return self._executor.map(partial(function, self.rules), ranges, *arguments)


@dataclass(frozen=True)
class BestRows:
    """The best rows of each class, as many as its cap allows."""

    gathered: list[Gathered]
    """For each range; what is `sure` in it is in."""
    chosen: Candidates
    """The undecided rows that are in."""


def best_rows(passes: Passes) -> BestRows:
    """The same whichever cut leads to it: a guess from some of the shards, or what counting all rows says."""
    classes, cap = passes.rules.classes, passes.rules.settings.max_per_class
    if cap is None:
        best = _best_by(Cut.everything(classes), passes, sys.maxsize)
    else:
        guess = _guess(passes, cap)
        is_useful = guess.undecided.sum() <= _GUESSED_AT_MOST
        best = _best_by(guess, passes, _GUESSED_AT_MOST) if is_useful else None
        best = best or _best_by(_cut(passes, cap), passes, sys.maxsize)
    assert best is not None, "a cut by the counts of all rows holds"
    return best


def _guess(passes: Passes, cap: int) -> Cut:
    classes = passes.rules.classes
    digits = _counted(Cut.nothing_known(classes), passes, passes.sample)
    return guessed(classes, digits, cap, passes.sampled_share)


def _cut(passes: Passes, cap: int) -> Cut:
    """How far down each class is kept, but for so few undecided rows that they can be compared in memory."""
    classes = passes.rules.classes
    digits = _counted(Cut.nothing_known(classes), passes, passes.ranges)
    confident = digits.reshape(-1, classes).sum(axis=0, dtype=np.int64)
    cut = narrowed(Cut.before_counting(classes, np.minimum(confident, cap), confident), digits)
    while cut.undecided.sum() > _GATHERED_AT_MOST and cut.shift > 0:
        cut = narrowed(cut, _counted(cut, passes, passes.ranges))
    return cut


def _counted(cut: Cut, passes: Passes, ranges: list[range]) -> npt.NDArray[np.int32]:
    """The next digits of the undecided rows, added up as they come: each range brings a table of 16 MiB."""
    tables = passes.run(partial(_count, cut), ranges)
    total = next(tables).copy()
    for table in tables:
        total += table
    return total


def _best_by(cut: Cut, passes: Passes, at_most: int) -> BestRows | None:
    """None where the cut leaves more than `at_most` rows undecided, or half as many that tie for the last places, or
    where the last that is in is not among them."""
    gathered: list[Gathered] = []
    undecided = 0
    # Every process may have gathered its part before their sum is known.
    part = at_most if len(passes.ranges) == 1 else at_most // 2
    for one in passes.run(partial(_gather, cut, part), passes.ranges):
        if one is None or undecided + len(one.undecided) > at_most:
            return None
        undecided += len(one.undecided)
        gathered.append(one)
    wanted = _wanted(gathered, passes.rules)
    chosen = None if wanted is None else _chosen(gathered, wanted, passes.rules, at_most // 2)
    return None if chosen is None else BestRows(gathered, chosen)


def _wanted(gathered: list[Gathered], rules: Rules) -> npt.NDArray[np.int64] | None:
    """How many of each class's undecided rows are in; None where the last that is in is not among them."""
    confident = np.sum([one.counts.confident for one in gathered], axis=0)
    inside = np.sum([one.inside for one in gathered], axis=0)
    undecided = np.sum([np.bincount(one.undecided.classes, minlength=rules.classes) for one in gathered], axis=0)
    cap = rules.settings.max_per_class
    wanted: npt.NDArray[np.int64] = (confident if cap is None else np.minimum(confident, cap)) - inside
    return wanted if ((wanted >= 0) & (wanted <= undecided)).all() else None


def _chosen(
    gathered: list[Gathered], wanted: npt.NDArray[np.int64], rules: Rules, tied_at_most: int
) -> Candidates | None:
    """Which undecided rows are in; None where more than `tied_at_most` have to be compared by their hashes."""
    sure, tied, wanted_of_tied = split_by_order(joined([one.undecided for one in gathered]), wanted)
    if not len(tied):
        return sure
    if len(tied) > tied_at_most:
        return None
    return joined([sure, first_by_hash(tied, selector.hashes_of(tied, rules), wanted_of_tied)])


def _count(cut: Cut, rules: Rules, shards: range) -> npt.NDArray[np.int32]:
    return selector.count(_rows(rules, shards), rules, cut)


def _gather(cut: Cut, at_most: int, rules: Rules, shards: range) -> Gathered | None:
    return selector.gather(_rows(rules, shards), rules, cut, at_most)


def _rows(rules: Rules, shards: range) -> Iterator[LabelRows]:
    return read_ahead(rules.read, shards, rules.is_remote)
