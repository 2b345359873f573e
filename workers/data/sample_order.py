"""The order in which each training process reads samples: every sample once an epoch, disjoint between processes.

All is decided from (seed, epoch, rank, world size), so a resumed or resized run needs no state but its position.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

# What a random stream is for: streams of one (seed, epoch) must not repeat each other.
_SHARD_ORDER, _ROW_ORDER, _DRAWS = 0, 1, 2


@dataclass(frozen=True)
class Piece:
    """A part of one shard that one rank reads: places `start` to `stop` in the epoch's row order of that shard."""

    shard: int
    start: int
    stop: int


def samples_of_rank(rows_per_shard: Sequence[int], rank: int, world_size: int) -> int:
    """How many samples `rank` reads an epoch: the same each epoch, and within one of every other rank."""
    first, end = _share(sum(rows_per_shard), rank, world_size)
    return end - first


def epoch_order(
    rows_per_shard: Sequence[int], seed: int, epoch: int, rank: int, world_size: int, window: int = 16
) -> Iterator[tuple[int, int]]:
    """Yields (shard index, row) for every sample that `rank` reads in this epoch, in reading order.

    Over all ranks each row of each shard comes exactly once. A rank reads whole shards but for its first and last,
    which it may share with its neighbours, and at most `window` shards are open at once. A cache that drops the shard
    used least recently should hold `window` + 4: with `window` alone it keeps a finished shard in the place of an open
    one, and reads three times as much. Only indices are generated (half a million a second), so a resume skips with
    itertools.islice.
    """
    _check(rank, world_size, window)
    pending = deque(rank_pieces(rows_per_shard, seed, epoch, rank, world_size))
    draws = random.Random(f"{seed}/{epoch}/{rank}/{world_size}/{_DRAWS}")
    opened = [_open(pending.popleft(), rows_per_shard, seed, epoch) for _ in range(min(window, len(pending)))]
    while pending:
        slot = draws.randrange(len(opened))
        shard, rows = opened[slot]
        yield shard, rows.pop()
        if not rows:
            opened[slot] = _open(pending.popleft(), rows_per_shard, seed, epoch)
    # No shard is left to open: the rest is shuffled as a whole. With few shards, that is the whole epoch.
    rest = [(shard, row) for shard, rows in opened for row in rows]
    draws.shuffle(rest)
    yield from rest


def endless_order(
    rows_per_shard: Sequence[int], seed: int, rank: int, world_size: int, start: int = 0, window: int = 16
) -> Iterator[tuple[int, int]]:
    """Epoch after epoch without end, from the `start`-th sample of this rank on.

    Whole epochs are skipped at once. Raises ValueError where there are fewer samples than ranks.
    """
    samples = samples_of_rank(rows_per_shard, rank, world_size)
    if samples == 0:
        raise ValueError(f"{sum(rows_per_shard)} samples are too few for {world_size} ranks")
    epoch, skip = divmod(start, samples)
    while True:
        yield from islice(epoch_order(rows_per_shard, seed, epoch, rank, world_size, window), skip, None)
        epoch, skip = epoch + 1, 0


def rank_pieces(rows_per_shard: Sequence[int], seed: int, epoch: int, rank: int, world_size: int) -> list[Piece]:
    """The pieces of shards that `rank` reads, in the epoch's shuffled order of shards.

    The shards are laid end to end in that order, and the line is cut into `world_size` equal stretches.
    """
    order = _generator(seed, epoch, _SHARD_ORDER).permutation(len(rows_per_shard))
    ends = np.cumsum(np.asarray(rows_per_shard, dtype=np.int64)[order])
    first, end = _share(int(ends[-1]) if len(ends) else 0, rank, world_size)
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


def _open(piece: Piece, rows_per_shard: Sequence[int], seed: int, epoch: int) -> tuple[int, list[int]]:
    # The permutation is the shard's, not the rank's: ranks that share a shard cut the same row order in pieces.
    permutation: npt.NDArray[np.int64] = _generator(seed, epoch, _ROW_ORDER, piece.shard).permutation(
        rows_per_shard[piece.shard]
    )
    return piece.shard, permutation[piece.start : piece.stop].tolist()


def _share(total: int, rank: int, world_size: int) -> tuple[int, int]:
    return total * rank // world_size, total * (rank + 1) // world_size


def _generator(*stream: int) -> np.random.Generator:
    return np.random.default_rng(stream)


def _check(rank: int, world_size: int, window: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not in a world of {world_size}")
    if window < 1:
        raise ValueError(f"window must be at least 1, not {window}")
