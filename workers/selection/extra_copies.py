"""Draws, in one pass, the images of a class that are repeated once more than the others: exactly as many as planned.

How many of a class's extra copies fall to a shard follows from the place of the shard's images among those of the
class: systematic sampling with a random start (Madow and Madow 1944). Within the shard they are drawn at random.
"""

import numpy as np
import numpy.typing as npt

from workers.data.order.random_order import random_keys

_STARTS = 1 << 31
"""The number of no shard: random starts are drawn under it."""


def extra_of_shard(
    seed: int,
    before: npt.NDArray[np.int64],
    here: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64],
    one_more: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """How many images of each class this shard repeats once more, (classes,).

    `before`, `here` and `total` count the class's images in earlier shards, in this one and in all. `one_more` is how
    many of all are to be repeated once more. All have the shape (classes,).
    """
    some = np.maximum(total, 1)
    starts = (random_keys(seed, _STARTS, np.arange(len(total))) % some.astype(np.uint64)).astype(np.int64)
    result: npt.NDArray[np.int64] = ((before + here) * one_more + starts) // some - (before * one_more + starts) // some
    return result


def drawn_once_more(
    seed: int,
    shard: int,
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int32],
    extra: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Draws `extra[c]` of the kept `rows` of each class c in one shard, and returns them as a mask of `rows`."""
    mask = np.zeros(len(rows), dtype=bool)
    eligible = np.flatnonzero(np.take(extra > 0, classes))
    if not eligible.size:
        return mask
    # Class, random number and place are packed into one integer: numpy sorts these ten times as fast as three keys.
    place_bits = len(eligible).bit_length()
    class_bits = len(extra).bit_length()
    random_bits = 64 - class_bits - place_bits
    packed = random_keys(seed, shard, rows[eligible]) >> np.uint64(64 - random_bits)
    packed |= classes[eligible].astype(np.uint64) << np.uint64(random_bits)
    packed = (packed << np.uint64(place_bits)) | np.arange(len(eligible), dtype=np.uint64)
    packed.sort()
    in_class = (packed >> np.uint64(64 - class_bits)).astype(np.int64)
    counts = np.bincount(in_class, minlength=len(extra))
    rank = np.arange(len(packed)) - (np.cumsum(counts) - counts)[in_class]
    drawn = packed[rank < extra[in_class]] & np.uint64((1 << place_bits) - 1)
    mask[eligible[drawn.astype(np.int64)]] = True
    return mask
