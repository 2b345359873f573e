"""The bins of expected calibration error: 15 of equal width, (lower, upper] (Guo et al. 2017, section 2)."""

import numpy as np
import numpy.typing as npt

BINS = 15


def bin_of(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The bin, 0 to 14, of each confidence in 0..1."""
    wide = confidence.astype(np.float64)
    return np.clip(np.ceil(wide * BINS).astype(np.int64) - 1, 0, BINS - 1)
