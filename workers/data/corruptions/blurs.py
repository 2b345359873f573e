"""The blurs of ImageNet-C: of the lens, of frosted glass, of the camera's motion, of zooming."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from workers.data.corruptions.picture import Picture, as_floats

# (radius, deviation of the smoothing) in pixels of 224.
_DEFOCUS = ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5))
# (deviation of the smoothing, largest displacement, repetitions).
_GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
# (radius, deviation) of the streak.
MOTION = ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0))
# (largest zoom, step).
_ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
_SUPERSAMPLING = 8


def scale_of(picture: npt.NDArray[np.generic]) -> float:
    """How many pixels of the picture correspond to one of ImageNet-C's 224."""
    side: int = min(picture.shape[:2])
    return side / 224


def defocus_blur(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture out of focus: each point becomes a disk."""
    radius, smoothing = _DEFOCUS[level]
    scale = scale_of(picture)
    return _filtered(picture, _disk(round(radius * scale, 3), round(smoothing * scale, 3)))


def glass_blur(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """A picture behind frosted glass: pixels change places with near ones."""
    smoothing, displacement, repetitions = _GLASS[level]
    scale = scale_of(picture)
    smooth = gaussian(picture, smoothing * scale)
    # Repeated random steps are like one step that is longer by the square root of their number.
    reach = displacement * scale * repetitions**0.5
    steps = generator.uniform(-reach, reach, (2, *picture.shape[:2])).astype(np.float32)
    return gaussian(moved(smooth, steps[0], steps[1]), smoothing * scale)


def motion_blur(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """The camera moves in one direction while the shutter is open."""
    radius, deviation = MOTION[level]
    return streaked(picture, radius, deviation, generator.uniform(-45, 45))


def zoom_blur(picture: Picture, level: int, generator: np.random.Generator) -> Picture:
    """The camera moves towards the object."""
    largest, step = _ZOOM[level]
    return zoom_streaked(picture, largest, step)


def zoom_streaked(picture: Picture, largest: float, step: float) -> Picture:
    """The mean of the picture at all zooms from 1 to below `largest`."""
    zooms = np.arange(1, largest, step)
    total = sum(zoomed(picture, float(zoom)) for zoom in zooms)
    return ((picture + total) / np.float32(len(zooms) + 1)).astype(np.float32)


def streaked(picture: Picture, radius: float, deviation: float, degrees: float) -> Picture:
    """Draws one-sided streaks over the picture. Lengths are in pixels of 224."""
    scale = scale_of(picture)
    return _filtered(picture, _streak(radius * scale, max(deviation * scale, 1e-3), degrees))


def gaussian(picture: Picture, deviation: float) -> Picture:
    """Smooths a picture or a plane. A deviation below a hundredth of a pixel changes nothing."""
    if deviation < 0.01:
        return picture
    return as_floats(cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101))


def moved(picture: Picture, down: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> Picture:
    """Takes each pixel from as far `down` and `right` as these planes say, (height, width) each; bilinear."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    places = (columns + right, rows + down)
    return as_floats(cv2.remap(picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def zoomed(picture: Picture, zoom: float) -> Picture:
    """Enlarges the middle of the picture to the size of the whole."""
    height, width = picture.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, 0, zoom)
    size, mode = (width, height), cv2.BORDER_REFLECT_101
    return as_floats(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=mode))


def _filtered(picture: Picture, kernel: Picture) -> Picture:
    return as_floats(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


@lru_cache(maxsize=256)
def _disk(radius: float, smoothing: float) -> Picture:
    """A disk of points. Each is shared among the four pixels around it, so that a radius below a pixel blurs too."""
    half = max(1, int(np.ceil(radius)))
    fine = np.arange(-half, half + 1e-6, 1 / _SUPERSAMPLING)
    down, right = np.meshgrid(fine, fine, indexing="ij")
    inside = down**2 + right**2 <= radius**2
    kernel = _shared(half, half + down[inside], half + right[inside], np.ones(int(inside.sum())))
    return gaussian(kernel / kernel.sum(), smoothing)


def _streak(radius: float, deviation: float, degrees: float) -> Picture:
    half = max(1, int(np.ceil(2 * radius)))
    along = np.arange(0, 2 * radius + 1e-6, 0.25)
    weights = np.exp(-(along**2) / (2 * deviation**2)).astype(np.float32)
    angle = np.deg2rad(degrees)
    rows, columns = half + along * np.sin(angle), half + along * np.cos(angle)
    kernel = _shared(half, rows, columns, weights)
    return as_floats(kernel / kernel.sum())


def _shared(
    half: int, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], weights: npt.NDArray[np.floating]
) -> Picture:
    """A kernel of side 2 * half + 1 of weighted points, each shared among the four pixels around it."""
    kernel = np.zeros((2 * half + 2, 2 * half + 2), dtype=np.float32)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - (rows - top)) * np.abs(1 - right - (columns - left))
            np.add.at(kernel, (top + down, left + right), (weights * share).astype(np.float32))
    return kernel[: 2 * half + 1, : 2 * half + 1].copy()
