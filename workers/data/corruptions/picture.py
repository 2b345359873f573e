"""The floating-point picture that corruptions work on, and what OpenCV returns as one."""

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
"""(height, width, 3), RGB, in 0..1."""
Plane = npt.NDArray[np.float32]
"""(height, width): one number for each pixel of a picture."""


def as_floats(result: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The array that an OpenCV function returned, typed as float32. OpenCV's stubs leave the type open.

    OpenCV keeps the type of the array that it is given, so nothing is copied.
    """
    return np.asarray(result, dtype=np.float32)
