"""Finds the most probable classes of each row. Ties are broken by class index."""

import numpy as np
import numpy.typing as npt

_ROWS_AT_A_TIME = 1024
"""Bounds the memory of the sort keys, 8 bytes a probability."""


def top_classes(probabilities: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """The indices of each row's `k` most probable classes, (rows, k), most probable first.

    `probabilities` is (rows, classes), and has no negative number and no NaN.
    """
    parts = [
        _top(probabilities[start : start + _ROWS_AT_A_TIME], k)
        for start in range(0, len(probabilities), _ROWS_AT_A_TIME)
    ]
    return np.concatenate(parts) if parts else np.empty((0, k), dtype=np.int64)


def _top(probabilities: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    classes = probabilities.shape[1]
    # The bits of floats that are not negative sort as integers do. The class index goes below them: keys are then
    # unique, and partitioning by them is exact.
    bits = np.ascontiguousarray(probabilities + np.float32(0)).view(np.int32).astype(np.int64)
    keys = np.arange(classes, dtype=np.int64) - (bits << 32)
    best = np.argpartition(keys, k - 1, axis=1)[:, :k] if k < classes else np.tile(np.arange(classes), (len(keys), 1))
    order = np.argsort(np.take_along_axis(keys, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)
