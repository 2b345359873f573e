"""Selection's work grows linearly with the shards, measured by counting accesses instead of time."""

import os
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from workers.selection import selector, shard_ranges, stage
from workers.selection.best_rows import Candidates, UsedDigits
from workers.selection.class_balance import balance_classes
from workers.selection.filtering import FilterCounts
from workers.selection.label_rows import LabelRows
from workers.selection.passes import Passes
from workers.selection.selector import Choice, Rules, Scan, Selector, hashes_of
from workers.specs.selection import SelectionSettings

SHARDS, ROWS = 200, 20


class Seen:
    elements = 0


class CountedSet(frozenset[int]):
    def __iter__(self) -> Iterator[int]:
        raise AssertionError("all shards with duplicates are gone through for one shard")

    def __or__(self, _: object) -> frozenset[int]:
        return frozenset(iter(self))


class CountedArray(np.ndarray):
    """Counts the elements that numpy's functions process."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        Seen.elements += self.size
        return getattr(ufunc, method)(*(np.asarray(each) for each in inputs), **options)


def rules(**changes: frozenset[int]) -> Rules:
    nothing: frozenset[int] = frozenset()
    plain = Rules(SelectionSettings(), 1, 0, "labels", with_near_duplicates=nothing, with_duplicates=nothing)
    return replace(plain, **changes)  # type: ignore[arg-type]


def candidates(shards: np.ndarray) -> Candidates:
    rows = np.arange(len(shards), dtype=np.int32) % ROWS
    return Candidates(shards, rows, np.zeros(len(shards), np.int32), np.zeros(len(shards), np.uint32))


def test_reading_a_shard_does_not_go_through_all_shards_with_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, doubts = np.zeros(3, np.int32), np.zeros(3, np.float32)
    monkeypatch.setattr(selector, "read_label_rows", lambda uri, shard, classes: LabelRows(shard, labels, doubts))
    monkeypatch.setattr(selector, "read_listed_rows", lambda uri, folder, shard: np.array([1], np.int32))
    both = rules(with_near_duplicates=CountedSet({1, 3}), with_duplicates=CountedSet({2, 3}))
    dropped = [(rows.dropped_near_duplicates, rows.dropped_duplicates) for rows in map(both.read, range(4))]
    assert dropped == [(0, 0), (1, 0), (0, 1), (1, 0)]


def test_hashes_of_ties_are_gathered_without_going_through_all_ties_for_each_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashes = np.array([f"{shard:08}{row:08}".encode() for shard in range(SHARDS) for row in range(ROWS)], "S16")
    by_shard = hashes.reshape(SHARDS, ROWS)
    monkeypatch.setattr(selector, "read_hashes", lambda uri, shard: by_shard[shard])
    order = np.random.default_rng(0).permutation(SHARDS * ROWS)
    tied = candidates(np.repeat(np.arange(SHARDS, dtype=np.int32), ROWS)).taken(order)
    Seen.elements = 0
    counted = Candidates(tied.shards.view(CountedArray), tied.rows, tied.classes, tied.order)
    np.testing.assert_array_equal(hashes_of(counted, rules()), hashes[order])
    assert Seen.elements <= 4 * len(tied)


def test_writing_a_shard_does_not_go_through_all_chosen_rows_of_its_range() -> None:
    chosen = candidates(np.repeat(np.arange(SHARDS, dtype=np.int32), ROWS))
    counted = Candidates(chosen.shards.view(CountedArray), chosen.rows, chosen.classes, chosen.order)
    confident = np.array([len(chosen)])
    nothing_sure = [np.zeros(-(-ROWS // 8), np.uint8)] * SHARDS
    balance = balance_classes(confident, None, True)
    writer = Selector(rules(), Choice(balance, nothing_sure, counted, confident, np.zeros(1, np.int64)))
    Seen.elements = 0
    for shard in range(SHARDS):
        kept, _ = writer.selected(shard, shard, np.zeros(ROWS, np.int32))
        assert kept.tolist() == list(range(ROWS))
    assert Seen.elements <= 4 * len(chosen)


def test_a_table_of_digits_is_not_kept_for_each_range() -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def scanned(*_: object) -> Iterator[tuple[Scan, UsedDigits]]:
        for number in range(8):
            assert sum(table() is not None for table in alive) <= 2
            table = np.array([[number]], np.int32)
            alive.append(weakref.ref(table))
            yield Scan(FilterCounts.nothing(1), np.array([number])), UsedDigits(np.array([3]), table)
            del table

    passes = Passes(cast(Executor, SimpleNamespace(map=scanned)), [range(1)] * 8, rules())
    scans, digits = stage._scanned(passes)
    assert [int(one.confident.sum()) for one in scans] == list(range(8))
    assert digits[3] == digits.sum() == sum(range(8))


@pytest.mark.parametrize(
    ("cores", "quota", "processes"),
    [(2, "max 100000", 2), (64, "max 100000", 4), (64, "250000 100000", 2), (64, "50000 100000", 1), (64, None, 4)],
)
def test_selection_uses_a_bounded_part_of_a_machine(
    cores: int, quota: str | None, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(shard_ranges, "_CPU_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert shard_ranges.most_processes() == processes
