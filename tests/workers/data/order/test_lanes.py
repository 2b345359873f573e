"""The stream of a job: every sample occurs once per epoch, whoever reads it, shuffled across shards."""

import tracemalloc
from collections import Counter, OrderedDict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from workers.data.order.lanes import Layout, Stream, share_of, worker_of
from workers.training.input.sources import shards_kept

shard_sizes = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)
seeds = st.integers(0, 2**31 - 1)
layouts = st.builds(Layout, workers=st.integers(1, 9), processes=st.integers(1, 4))
batches = st.integers(1, 40)


def read(stream: Stream, start: int, stop: int) -> list[tuple[int, int]]:
    return [stream.at(place) for place in range(start, stop)]


def places_of(worker: int, workers: int, process: int, processes: int, steps: range, batch: int) -> list[int]:
    """The samples that one loader process reads, as in training/batches.py."""
    slots = share_of(batch, worker, workers)
    return [step * batch + slot for step in steps if step % processes == process for slot in slots]


@given(shard_sizes, seeds, batches, layouts, st.integers(0, 3))
def test_each_epoch_has_every_sample_at_exactly_one_place(
    rows: list[int], seed: int, batch: int, layout: Layout, epoch: int
) -> None:
    samples = sum(rows)
    order = read(Stream(rows, seed, batch, layout), epoch * samples, (epoch + 1) * samples)
    assert Counter(order) == Counter((shard, row) for shard, count in enumerate(rows) for row in range(count))


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("rows", [[1000] * 8, [7, 900, 1, 0, 55, 320, 1201, 13, 64], [3000], [40] * 100])
def test_eight_workers_together_read_every_sample_once_an_epoch(rows: list[int], processes: int) -> None:
    batch, samples = 44, sum(rows)
    steps = range(3 * samples // batch + 1)
    seen: dict[int, Counter[tuple[int, int]]] = {epoch: Counter() for epoch in range(4)}
    for worker in range(8):
        for process in range(processes):
            stream = Stream(rows, 1, batch, Layout(8, processes))
            for place in places_of(worker, 8, process, processes, steps, batch):
                seen[place // samples][stream.at(place)] += 1
    for epoch in range(3):
        assert len(seen[epoch]) == samples
        assert set(seen[epoch].values()) == {1}


@given(shard_sizes, seeds, batches, layouts, st.integers(0, 300))
def test_a_resume_goes_on_where_it_stopped(rows: list[int], seed: int, batch: int, layout: Layout, start: int) -> None:
    whole = read(Stream(rows, seed, batch, layout), 0, start + 50)
    assert read(Stream(rows, seed, batch, layout), start, start + 50) == whole[start:]


@settings(max_examples=50)
@given(shard_sizes, seeds, batches, layouts, st.integers(1, 9), st.integers(1, 4), st.integers(0, 10))
def test_other_readers_find_the_same_samples_at_the_same_places(
    rows: list[int], seed: int, batch: int, layout: Layout, workers: int, processes: int, first_step: int
) -> None:
    steps = range(first_step, first_step + 6)
    expected = read(Stream(rows, seed, batch, layout), steps.start * batch, steps.stop * batch)
    found = {}
    for worker in range(workers):
        for process in range(processes):
            stream = Stream(rows, seed, batch, layout)
            for place in places_of(worker, workers, process, processes, steps, batch):
                found[place] = stream.at(place)
    assert [found[place] for place in sorted(found)] == expected


@given(shard_sizes, seeds, batches, layouts, st.integers(0, 200))
def test_a_place_holds_the_same_sample_whatever_was_asked_before(
    rows: list[int], seed: int, batch: int, layout: Layout, place: int
) -> None:
    stream = Stream(rows, seed, batch, layout)
    before = stream.at(place)
    stream.at(place + 70)
    assert stream.at(place) == before


@given(layouts, batches, st.integers(0, 500))
def test_lanes_fill_each_place_once(layout: Layout, batch: int, places: int) -> None:
    filled = Counter(layout.lane_of(place, batch) for place in range(places))
    counted = [layout.places_before(places, lane, batch) for lane in range(layout.lanes)]
    assert counted == [filled[lane] for lane in range(layout.lanes)]


@given(layouts, batches)
def test_a_reader_that_was_laid_out_for_has_a_lane_of_its_own(layout: Layout, batch: int) -> None:
    lanes: Counter[int] = Counter()
    for worker in range(layout.workers):
        for process in range(layout.processes):
            places = places_of(worker, layout.workers, process, layout.processes, range(8), batch)
            lanes.update({layout.lane_of(place, batch) for place in places})
        assert layout.lanes_read(batch, worker, layout.workers, layout.processes) <= 1
    assert set(lanes.values()) <= {1}


def test_one_worker_that_goes_on_for_eight_reads_their_lanes() -> None:
    assert Layout(8).lanes_read(64, 0, 1, 1) == 8
    assert Layout(8).lanes_read(64, 3, 4, 1) == 2
    assert Layout(2, 2).lanes_read(64, 0, 2, 1) == 2
    assert Layout(2, 2).lanes_read(64, 0, 2, 4) == 1


@pytest.mark.parametrize(("total", "workers", "shares"), [(64, 2, [32, 32]), (10, 4, [3, 3, 2, 2]), (1, 2, [1, 0])])
def test_workers_share_a_step_evenly(total: int, workers: int, shares: list[int]) -> None:
    slots = [share_of(total, worker, workers) for worker in range(workers)]
    assert [len(each) for each in slots] == shares
    assert [slot for each in slots for slot in each] == list(range(total))
    assert all(worker_of(slot, total, workers) == worker for worker, each in enumerate(slots) for slot in each)


@pytest.mark.parametrize("layout", [Layout(1), Layout(8), Layout(8, 2)])
def test_shards_are_mixed_as_in_a_true_permutation_where_the_windows_hold_them(layout: Layout) -> None:
    """Pearson's statistic of the shard of origin against the place in the epoch: 14 uneven shards, in bins of 4 steps.

    For a true permutation it has the mean of its degrees of freedom, and the root of twice that as its deviation.
    """
    rows = [int(size) for size in np.random.default_rng(3).integers(60, 500, 14)]
    samples = sum(rows) // 256 * 256
    shards = np.array(read(Stream(rows, 5, 64, layout), 0, samples))[:, 0]
    counts = np.array([np.bincount(each, minlength=len(rows)) for each in np.split(shards, samples // 256)])
    expected = counts.sum(axis=0) * 256 / samples
    statistic, freedom = ((counts - expected) ** 2 / expected).sum(), (len(rows) - 1) * (len(counts) - 1)
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)
    assert abs(spearmanr(np.arange(samples), shards).statistic) < 4 / np.sqrt(samples)


def test_a_batch_of_eight_workers_holds_nearly_as_many_shards_as_a_true_permutations() -> None:
    rows, batch = [100] * 400, 64
    order = np.array(read(Stream(rows, 0, batch, Layout(8)), 0, sum(rows)))
    truly = np.random.default_rng(0).permutation(np.repeat(np.arange(400), 100))
    ours, theirs = (_shards_a_batch(shards, batch) for shards in (order[:, 0], truly))
    assert ours > 0.85 * theirs


def _shards_a_batch(shards: np.ndarray, batch: int) -> float:
    return float(np.mean([len(set(each.tolist())) for each in np.split(shards, len(shards) // batch)]))


def test_rows_of_a_shard_come_in_no_order() -> None:
    order = np.array(read(Stream([5000], 0, 32, Layout(4)), 0, 5000))
    assert abs(np.corrcoef(np.arange(5000), order[:, 1])[0, 1]) < 5 / np.sqrt(5000)
    steps = np.array([after - before for before, after in pairwise(order[:, 1].tolist())])
    assert np.mean(np.abs(steps) < 50) < 0.05


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_each_shard_is_read_once_an_epoch_by_whoever_goes_on(workers: int) -> None:
    """The cache evicts the least recently used shard, and the stream is laid out for 8 workers."""
    rows, batch, layout = [100] * 200, 64, Layout(8)
    reads = 0
    for worker in range(workers):
        stream = Stream(rows, 0, batch, layout)
        kept = shards_kept(layout, batch, worker, workers, 1)
        cached: OrderedDict[int, None] = OrderedDict()
        for place in places_of(worker, workers, 0, 1, range(sum(rows) // batch), batch):
            shard, _ = stream.at(place)
            reads += shard not in cached
            cached[shard] = None
            cached.move_to_end(shard)
            if len(cached) > kept:
                cached.popitem(last=False)
    assert reads <= 200 + 7 + 4  # neighboring lanes share a shard, and a few are evicted too early


def test_130_million_samples_need_less_than_a_tenth_of_a_byte_each() -> None:
    rows = [10_000] * 13_000
    tracemalloc.start()
    stream = Stream(rows, 0, 2048, Layout(8))
    for place in places_of(3, 8, 0, 1, range(20_000, 20_010), 2048):
        stream.at(place)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / sum(rows) < 0.1


def test_no_samples_and_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Stream([0, 0], 0, 8, Layout(1))
    with pytest.raises(ValueError, match="a worker and a process"):
        Layout(0)
