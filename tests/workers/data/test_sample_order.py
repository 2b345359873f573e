"""The order of samples: complete, disjoint between ranks, shuffled, and cheap to resume."""

from collections import Counter, OrderedDict
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.data.sample_order import endless_order, epoch_order, rank_pieces, samples_of_rank

shard_sizes = st.lists(st.integers(0, 40), max_size=30)
seeds = st.integers(0, 2**31 - 1)
worlds = st.integers(1, 9)
windows = st.integers(1, 20)


@given(shard_sizes, seeds, st.integers(0, 5), worlds, windows)
def test_all_ranks_together_read_every_sample_once(
    rows: list[int], seed: int, epoch: int, world_size: int, window: int
) -> None:
    read = Counter(
        sample for rank in range(world_size) for sample in epoch_order(rows, seed, epoch, rank, world_size, window)
    )
    assert read == Counter((shard, row) for shard, count in enumerate(rows) for row in range(count))


@given(shard_sizes, seeds, worlds)
def test_ranks_read_equally_many_samples_within_one(rows: list[int], seed: int, world_size: int) -> None:
    counts = [len(list(epoch_order(rows, seed, 0, rank, world_size))) for rank in range(world_size)]
    assert max(counts) - min(counts) <= 1
    assert counts == [samples_of_rank(rows, rank, world_size) for rank in range(world_size)]


@given(shard_sizes, seeds, worlds, windows)
def test_no_more_shards_than_the_window_are_open(rows: list[int], seed: int, world_size: int, window: int) -> None:
    order = list(epoch_order(rows, seed, 0, 0, world_size, window))
    first = {shard: place for place, (shard, _) in reversed(list(enumerate(order)))}
    last = {shard: place for place, (shard, _) in enumerate(order)}
    for place in range(len(order)):
        assert sum(first[shard] <= place <= last[shard] for shard in first) <= window


@given(shard_sizes, seeds, worlds)
def test_a_rank_shares_at_most_its_first_and_last_shard(rows: list[int], seed: int, world_size: int) -> None:
    for rank in range(world_size):
        for piece in rank_pieces(rows, seed, 0, rank, world_size)[1:-1]:
            assert (piece.start, piece.stop) == (0, rows[piece.shard])


@given(shard_sizes, seeds, worlds, st.integers(0, 300))
def test_a_resume_goes_on_where_it_stopped(rows: list[int], seed: int, world_size: int, start: int) -> None:
    if samples_of_rank(rows, 0, world_size) == 0:
        return
    whole = list(islice(endless_order(rows, seed, 0, world_size), start + 50))
    assert list(islice(endless_order(rows, seed, 0, world_size, start), 50)) == whole[start:]


def test_one_shard_is_shared_by_two_ranks_in_another_way_each_epoch() -> None:
    halves = [{row for _, row in epoch_order([100], 7, epoch, 0, 2)} for epoch in (0, 1)]
    assert [len(half) for half in halves] == [50, 50]
    assert halves[0] != halves[1]


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    rows = [10] * 40

    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        return list(epoch_order(rows, seed, epoch, 0, 1))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_neighbours_come_from_many_shards() -> None:
    order = list(epoch_order([100] * 64, 0, 0, 0, 1, window=16))
    shards_a_batch = [len({shard for shard, _ in order[start : start + 64]}) for start in range(0, len(order), 64)]
    assert np.mean(shards_a_batch) > 10


def test_few_shards_are_shuffled_as_a_whole() -> None:
    order = list(epoch_order([500, 500], 0, 0, 0, 1))
    places_of_first_shard = [place for place, (shard, _) in enumerate(order) if shard == 0]
    assert abs(np.mean(places_of_first_shard) - 499.5) < 50


def test_a_hundred_thousand_shards_cost_little_before_the_first_sample() -> None:
    order = epoch_order([10_000] * 100_000, 0, 0, 3, 8)
    assert len(list(islice(order, 1000))) == 1000


def test_fewer_samples_than_ranks_cannot_go_on_for_ever() -> None:
    with pytest.raises(ValueError, match="1 samples are too few for 4 ranks"):
        next(endless_order([1], 0, 0, 4))


@pytest.mark.parametrize(("rank", "world_size", "window"), [(2, 2, 1), (-1, 2, 1), (0, 1, 0)])
def test_impossible_arguments_are_refused(rank: int, world_size: int, window: int) -> None:
    with pytest.raises(ValueError, match=r"rank|window"):
        next(epoch_order([5], 0, 0, rank, world_size, window))


@pytest.mark.parametrize("rows", [100, 1000])
def test_a_cache_a_little_larger_than_the_window_reads_each_shard_once(rows: int) -> None:
    cached: OrderedDict[int, None] = OrderedDict()
    reads = 0
    for shard, _ in epoch_order([rows] * 100, 0, 0, 0, 1, window=16):
        reads += shard not in cached
        cached[shard] = None
        cached.move_to_end(shard)
        if len(cached) > 20:
            cached.popitem(last=False)
    assert reads == 100
