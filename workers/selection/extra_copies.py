"""Which images of a class are repeated once more than the others: exactly so many, at random, in one pass.

Each shard gets its part of a class's extra copies by where it lies among the class's images, as in systematic sampling
(Madow and Madow 1944) with a random start; within the shard they are drawn at random.
"""

import numpy as np
import numpy.typing as npt

from workers.selection.random_order import random_keys

_STARTS = 1 << 31
"""A shard number that no dataset has: the stream of random starts."""


def extra_of_shard(
    seed: int,
    before: npt.NDArray[np.int64],
    here: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64],
    one_more: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """How many images of each class this shard repeats once more, (classes,).

    `before`, `here` and `total` are the class's images in earlier shards, in this one, and in all.
    """
    some = np.maximum(total, 1)
    starts = (random_keys(seed, _STARTS, len(total)) % some.astype(np.uint64)).astype(np.int64)
    result: npt.NDArray[np.int64] = ((before + here) * one_more + starts) // some - (before * one_more + starts) // some
    return result


def drawn_once_more(
    seed: int,
    shard: int,
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int32],
    extra: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """A mask of the kept `rows` of one shard: `extra[c]` of those of class c."""
    mask = np.zeros(len(rows), dtype=bool)
    eligible = np.flatnonzero(extra[classes] > 0)
    if not eligible.size:
        return mask
    keys = random_keys(seed, shard, int(rows[-1]) + 1)[rows[eligible]]
    order = eligible[np.lexsort((keys, classes[eligible]))]
    starts = np.searchsorted(classes[order], np.arange(len(extra)))
    rank = np.arange(len(order)) - starts[classes[order]]
    mask[order[rank < extra[classes[order]]]] = True
    return mask
