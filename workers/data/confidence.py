"""Doubt: one minus confidence, stored by itself, because near certainty it keeps an order that confidence loses.

Single precision has eight million numbers between 0.5 and 1, and as many for each halving of the distance to 1.
Confidence is always made from doubt, so that a threshold on one is a threshold on the other, to the last row.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

_BITS_OF_ONE = 0x3F800000


def confidence_of(doubt: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 - doubt, rounded to single precision. Doubts lie in 0..1."""
    result: npt.NDArray[np.float32] = (1.0 - doubt.astype(np.float64)).astype(np.float32)
    return result


def order_bits(doubt: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Integers in the order of the doubts: the bit patterns of numbers that are not negative."""
    return doubt.view(np.uint32)


@lru_cache
def largest_doubt(min_confidence: float) -> np.float32:
    """The largest doubt whose confidence is at least `min_confidence` in single precision; `min_confidence` <= 1."""
    low, high = 0, _BITS_OF_ONE  # a doubt of 0 always passes
    while low < high:
        middle = (low + high + 1) // 2
        doubt = np.array([middle], dtype=np.uint32).view(np.float32)
        if confidence_of(doubt)[0] >= np.float32(min_confidence):
            low = middle
        else:
            high = middle - 1
    return np.array([low], dtype=np.uint32).view(np.float32)[0]


BINS = 15


def bin_of(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The bin, 0 to 14, of each confidence in 0..1."""
    wide = confidence.astype(np.float64)
    return np.clip(np.ceil(wide * BINS).astype(np.int64) - 1, 0, BINS - 1)
