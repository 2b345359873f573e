"""Doubt is one minus confidence. It is stored by itself because it orders images that confidence rounds to 1.

Single precision has eight million numbers between 0.5 and 1 for confidence, and as many again for doubt each time the
distance to 1 is halved. Confidence is always computed from doubt: a threshold on one is then a threshold on the other,
to the last row (docs/decisions/0007).
"""

import numpy as np
import numpy.typing as npt

_BITS_OF_ONE = 0x3F800000


def confidence_of(doubt: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The confidence, 1 - doubt, rounded to single precision. Doubts lie in 0..1."""
    result: npt.NDArray[np.float32] = (1.0 - doubt.astype(np.float64)).astype(np.float32)
    return result


def order_bits(doubt: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """The bit patterns of doubts: integers in the same order, because no doubt is negative."""
    return doubt.view(np.uint32)


def largest_doubts(min_confidences: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """For each threshold, which is at most 1, the largest doubt whose confidence is at least that in single precision.

    The thresholds may have any shape, which the result has too.
    """
    thresholds = min_confidences.astype(np.float32)
    low = np.zeros(thresholds.shape, dtype=np.uint32)  # a doubt of 0 always passes
    high = np.full(thresholds.shape, _BITS_OF_ONE, dtype=np.uint32)
    while (low < high).any():
        middle = (low + high + 1) // 2
        passes = confidence_of(middle.view(np.float32)) >= thresholds
        low, high = np.where(passes, middle, low), np.where(passes, high, middle - 1)
    return low.view(np.float32)


BINS = 15
"""Of confidence, for calibration: as many as Guo et al. 2017 use."""


def bin_of(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The bin of each confidence in 0..1, from 0 to BINS - 1."""
    wide = confidence.astype(np.float64)
    return np.clip(np.ceil(wide * BINS).astype(np.int64) - 1, 0, BINS - 1)
