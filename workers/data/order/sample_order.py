"""Orders the samples of a stretch of an epoch: every sample once, well mixed, from a few shards at a time.

An epoch lays the shards end to end in a new order, and cuts this line into stretches (`lanes.py` says how long each
is). The order follows from (seed, epoch, stretch): only a position is kept, and no list of all samples is ever made.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The purposes of random streams: two streams of the same (seed, epoch) must differ.
_SHARD_ORDER, _ROW_ORDER, _DRAWS = 0, 1, 2
_SECTION_PIECES = 256
"""How many pieces a section has. At its end the window is emptied, so that a later start can skip whole sections."""


@dataclass(frozen=True)
class Piece:
    """A part of a shard in one stretch: the places `start` to `stop` in the epoch's order of the shard's rows."""

    shard: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


def stretch_order(
    rows_per_shard: Sequence[int], seed: int, epoch: int, first: int, end: int, window: int = 16, start: int = 0
) -> Iterator[tuple[int, int]]:
    """Yields the (shard, row) of the samples `first` to `end` of the epoch's line, beginning with the `start`-th of
    them.

    Stretches that together cover the line yield each row of each shard exactly once. At most `window` shards are open
    at once: each sample comes from a random one of them, and its row is random within the whole shard. Half a million
    samples are generated or skipped a second; whole sections are skipped at once.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, not {window}")
    pieces = pieces_of(rows_per_shard, seed, epoch, first, end)
    for place in range(0, len(pieces), _SECTION_PIECES):
        section = pieces[place : place + _SECTION_PIECES]
        rows = sum(piece.rows for piece in section)
        if start >= rows:
            start -= rows
            continue
        draws = random.Random(f"{seed}/{epoch}/{first}/{place}/{_DRAWS}")
        samples = _mixed(section, rows_per_shard, seed, epoch, window, draws)
        for _ in range(start):
            next(samples)
        start = 0
        yield from samples


def pieces_of(rows_per_shard: Sequence[int], seed: int, epoch: int, first: int, end: int) -> list[Piece]:
    """The pieces of shards between `first` and `end`, in the epoch's shuffled order of shards."""
    order = _generator(seed, epoch, _SHARD_ORDER).permutation(len(rows_per_shard))
    ends = np.cumsum(np.asarray(rows_per_shard, dtype=np.int64)[order])
    pieces: list[Piece] = []
    for place in range(int(np.searchsorted(ends, first, side="right")), len(order)):
        shard = int(order[place])
        shard_start = int(ends[place]) - rows_per_shard[shard]
        if shard_start >= end:
            break
        start, stop = max(first - shard_start, 0), min(end - shard_start, rows_per_shard[shard])
        if start < stop:
            pieces.append(Piece(shard, start, stop))
    return pieces


def _mixed(
    pieces: list[Piece], rows_per_shard: Sequence[int], seed: int, epoch: int, window: int, draws: random.Random
) -> Iterator[tuple[int, int]]:
    pending = deque(pieces)
    opened = [_open(pending.popleft(), rows_per_shard, seed, epoch) for _ in range(min(window, len(pending)))]
    while pending:
        slot = draws.randrange(len(opened))
        shard, rows = opened[slot]
        yield shard, rows.pop()
        if not rows:
            opened[slot] = _open(pending.popleft(), rows_per_shard, seed, epoch)
    # No shard is left to open, so the rest is shuffled as a whole. With few shards that is the whole epoch.
    rest = [(shard, row) for shard, rows in opened for row in rows]
    draws.shuffle(rest)
    yield from rest


def _open(piece: Piece, rows_per_shard: Sequence[int], seed: int, epoch: int) -> tuple[int, list[int]]:
    # The permutation belongs to the shard: stretches that share the shard cut the same order of rows into pieces.
    permutation: npt.NDArray[np.int64] = _generator(seed, epoch, _ROW_ORDER, piece.shard).permutation(
        rows_per_shard[piece.shard]
    )
    return piece.shard, permutation[piece.start : piece.stop].tolist()


def _generator(*stream: int) -> np.random.Generator:
    return np.random.default_rng(stream)
