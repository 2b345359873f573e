"""The order within a stretch is complete and shuffled, opens few shards, and can resume cheaply in the middle."""

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.data.order.sample_order import pieces_of, stretch_order

shard_sizes = st.lists(st.integers(0, 40), max_size=30)
seeds = st.integers(0, 2**31 - 1)
windows = st.integers(1, 20)


@given(shard_sizes, seeds, st.integers(0, 5), st.lists(st.integers(0, 1200), max_size=5), windows)
def test_stretches_that_cover_the_line_hold_every_sample_once(
    rows: list[int], seed: int, epoch: int, cuts: list[int], window: int
) -> None:
    ends = sorted(min(cut, sum(rows)) for cut in [0, *cuts, sum(rows)])
    read = Counter(
        sample for first, end in pairwise(ends) for sample in stretch_order(rows, seed, epoch, first, end, window)
    )
    assert read == Counter((shard, row) for shard, count in enumerate(rows) for row in range(count))


@given(shard_sizes, seeds, windows)
def test_no_more_shards_than_the_window_are_open(rows: list[int], seed: int, window: int) -> None:
    order = list(stretch_order(rows, seed, 0, 0, sum(rows), window))
    first = {shard: place for place, (shard, _) in reversed(list(enumerate(order)))}
    last = {shard: place for place, (shard, _) in enumerate(order)}
    for place in range(len(order)):
        assert sum(first[shard] <= place <= last[shard] for shard in first) <= window


@given(shard_sizes, seeds, st.integers(0, 600), st.integers(0, 600))
def test_a_stretch_shares_at_most_its_first_and_last_shard(rows: list[int], seed: int, one: int, other: int) -> None:
    first, end = sorted(min(each, sum(rows)) for each in (one, other))
    for piece in pieces_of(rows, seed, 0, first, end)[1:-1]:
        assert (piece.start, piece.stop) == (0, rows[piece.shard])


@pytest.mark.parametrize("start", [0, 1, 999, 2_000, 2_560, 2_561, 7_000, 7_999, 8_000])
def test_a_later_start_gives_the_rest_also_beyond_whole_sections(start: int) -> None:
    rows = [10] * 800
    whole = list(stretch_order(rows, 3, 1, 0, 8_000))
    assert list(stretch_order(rows, 3, 1, 0, 8_000, start=start)) == whole[start:]


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    rows = [10] * 40

    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        return list(stretch_order(rows, seed, epoch, 0, 400))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_neighbours_come_from_many_shards() -> None:
    order = list(stretch_order([100] * 64, 0, 0, 0, 6_400, window=16))
    shards_a_batch = [len({shard for shard, _ in order[start : start + 64]}) for start in range(0, len(order), 64)]
    assert np.mean(shards_a_batch) > 10


def test_few_shards_are_shuffled_as_a_whole() -> None:
    order = list(stretch_order([500, 500], 0, 0, 0, 1_000))
    places_of_first_shard = [place for place, (shard, _) in enumerate(order) if shard == 0]
    assert abs(np.mean(places_of_first_shard) - 499.5) < 50


def test_the_middle_of_a_billion_samples_costs_little() -> None:
    order = stretch_order([10_000] * 100_000, 0, 0, 125_000_000, 1_000_000_000, start=500_000_000)
    assert len(list(islice(order, 1000))) == 1000


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="window must be at least 1"):
        next(stretch_order([5], 0, 0, 0, 5, window=0))
