"""Deals one endless stream of samples to the readers of a training. The stream is the same for any number of readers.

Places in the stream are counted over all workers. Step s of a training takes the places s * B to (s + 1) * B, where B
is the number of images a step, and worker r of W takes the r-th share of these. The places are filled from lanes. There
is one lane for each reader (a loader process of a worker) that the stream was laid out for, so that such a reader stays
within shards of its own. After a resume on more or fewer workers, other readers find the same sample at each place;
they only read more shards for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

from workers.data.order.sample_order import stretch_order
from workers.specs.figures import window_of


@dataclass(frozen=True)
class Layout:
    """The readers that a stream was laid out for. A training keeps its layout to the end."""

    workers: int
    processes: int = 1
    """The loader processes of each worker, at least 1. Process p makes the steps s with s % processes == p."""

    def __post_init__(self) -> None:
        if self.workers < 1 or self.processes < 1:
            raise ValueError(f"a layout needs a worker and a process, not {self.workers} and {self.processes}")

    @property
    def lanes(self) -> int:
        return self.workers * self.processes

    @property
    def window(self) -> int:
        """How many shards a lane has open at a time. Samples are shuffled within these."""
        return window_of(self.lanes)

    def lane_of(self, place: int, images_a_step: int) -> int:
        """The lane that fills `place`."""
        step, slot = divmod(place, images_a_step)
        return step % self.processes * self.workers + worker_of(slot, images_a_step, self.workers)

    def places_before(self, place: int, lane: int, images_a_step: int) -> int:
        """How many of the places before `place` are filled by `lane`."""
        process, worker = divmod(lane, self.workers)
        slots = share_of(images_a_step, worker, self.workers)
        step, slot = divmod(place, images_a_step)
        whole_steps = (step - process + self.processes - 1) // self.processes
        in_last = min(max(slot - slots.start, 0), len(slots)) if step % self.processes == process else 0
        return whole_steps * len(slots) + in_last

    def lanes_read(self, images_a_step: int, worker: int, workers: int, processes: int) -> int:
        """From how many lanes a loader process of one of `workers` workers reads: 1 if they are those of the layout."""
        slots = share_of(images_a_step, worker, workers)
        steps = range(0, lcm(self.processes, processes), processes)
        return len({self.lane_of(step * images_a_step + slot, images_a_step) for step in steps for slot in slots})


def share_of(total: int, worker: int, workers: int) -> range:
    """The slots of a step's `total` that belong to a worker. Shares are equal; the first workers take the remainder."""
    share, rest = divmod(total, workers)
    start = worker * share + min(worker, rest)
    return range(start, start + share + (worker < rest))


def worker_of(slot: int, total: int, workers: int) -> int:
    """The worker whose share a slot is in."""
    share, rest = divmod(total, workers)
    in_larger_shares = rest * (share + 1)
    return slot // (share + 1) if slot < in_larger_shares else rest + (slot - in_larger_shares) // share


class Stream:
    """The endless samples of one source. In each epoch every sample is at exactly one place.

    To ask for places in rising order is cheap; to go back generates an epoch's order again.
    """

    def __init__(self, rows_per_shard: Sequence[int], seed: int, images_a_step: int, layout: Layout) -> None:
        self._rows_per_shard = rows_per_shard
        self._samples = sum(rows_per_shard)
        self._seed = seed
        self._images_a_step = images_a_step
        self._layout = layout
        self._lanes: dict[int, _LaneReader] = {}
        if self._samples == 0:
            raise ValueError("a stream needs at least one sample")

    def at(self, place: int) -> tuple[int, int]:
        """The (shard, row) of the sample at `place`, counted from 0."""
        epoch = place // self._samples
        lane = self._layout.lane_of(place, self._images_a_step)
        before = self._count(lane, epoch * self._samples)
        position = self._count(lane, place) - before
        reader = self._lanes.get(lane)
        if reader is None or reader.epoch != epoch or reader.position > position:
            reader = self._lanes[lane] = _LaneReader(epoch, position, self._order(epoch, lane, position))
        return reader.read(position)

    def _order(self, epoch: int, lane: int, start: int) -> Iterator[tuple[int, int]]:
        begin, end = epoch * self._samples, (epoch + 1) * self._samples
        # The places that lanes fill before `begin` add up to `begin`, so that the stretches of an epoch cover it.
        first = sum(self._count(each, end) - self._count(each, begin) for each in range(lane))
        length = self._count(lane, end) - self._count(lane, begin)
        return stretch_order(
            self._rows_per_shard, self._seed, epoch, first, first + length, self._layout.window, start=start
        )

    def _count(self, lane: int, place: int) -> int:
        return self._layout.places_before(place, lane, self._images_a_step)


class _LaneReader:
    """One lane in one epoch, and how far it has been read."""

    def __init__(self, epoch: int, position: int, samples: Iterator[tuple[int, int]]) -> None:
        self.epoch = epoch
        self.position = position
        self._samples = samples

    def read(self, position: int) -> tuple[int, int]:
        """The sample at `position`, which is not before the reader's own. Samples in between are skipped."""
        for _ in range(position - self.position):
            next(self._samples)
        self.position = position + 1
        return next(self._samples)
