"""The ten perturbation sequences of ImageNet-P (Hendrycks and Dietterich 2019), for pictures of any size."""

import cv2
import numpy as np
import numpy.typing as npt

from workers.data.corruptions import as_picture, to_pixels
from workers.data.corruptions.blurs import scale_of, streaked, zoom_streaked, zoomed
from workers.data.corruptions.noises import add_gaussian, count_photons
from workers.data.corruptions.picture import Picture, Plane, as_floats
from workers.data.corruptions.weather import brightened, snowed
from workers.specs.robustness import Perturbation

NOISES: frozenset[Perturbation] = frozenset({"gaussian_noise", "shot_noise"})
"""Each of their frames has new noise, and is compared with the first frame. Frames of others are compared with the
frame before."""

_NOISE, _PHOTONS = 0.06, 120.0
_LARGEST = {"motion_blur": 12.0, "zoom_blur": 0.15, "brightness": 0.4, "snow": 6.0}
"""The strength at the last frame: streaks and falling flakes in pixels of 224, zoom and brightness as shares."""
_PER_FRAME = {"translate": 1.0, "rotate": 1.0, "tilt": 1.0, "scale": 1.02}
"""The change from frame to frame: in pixels of 224, degrees, degrees, and as a factor."""


def sequence(
    image: npt.NDArray[np.uint8], kind: Perturbation, frames: int, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """A sequence of frames, (frames, height, width, 3). The first is the picture itself, except with snow.

    Kinds are those of Hendrycks and Dietterich (2019, section 3). Lengths are scaled to the picture's shorter side.
    """
    picture = as_picture(image)
    flakes = _flakes(picture, generator) if kind == "snow" else None
    degrees = float(generator.uniform(-45, 45))
    made = [to_pixels(_frame(picture, kind, number, frames, degrees, flakes, generator)) for number in range(frames)]
    return np.stack(made)


def flips(predicted: npt.NDArray[np.integer], kind: Perturbation) -> int:
    """How many frames have another predicted class than the frame that they are compared with.

    `predicted` is (frames,): the class of each frame.
    """
    compared = predicted[0] if kind in NOISES else predicted[:-1]
    return int(np.count_nonzero(predicted[1:] != compared))


def _frame(
    picture: Picture,
    kind: Perturbation,
    number: int,
    frames: int,
    degrees: float,
    flakes: Plane | None,
    generator: np.random.Generator,
) -> Picture:
    share = number / max(1, frames - 1)
    if flakes is not None:
        down = round(share * _LARGEST["snow"] * scale_of(picture) * 10)
        return snowed(picture, np.roll(flakes, down, axis=0), 0.85)
    if number == 0:
        return picture
    match kind:
        case "gaussian_noise":
            return add_gaussian(picture, _NOISE, generator)
        case "shot_noise":
            return count_photons(picture, _PHOTONS, generator)
        case "motion_blur":
            return streaked(picture, 15.0, share * _LARGEST[kind], degrees)
        case "zoom_blur":
            return zoom_streaked(picture, 1 + share * _LARGEST[kind] + 1e-6, max(0.005, share * _LARGEST[kind] / 8))
        case "brightness":
            return brightened(picture, share * _LARGEST[kind])
        case "scale":
            return zoomed(picture, _PER_FRAME[kind] ** number)
        case _:
            return _tilted(picture, kind, number * _PER_FRAME[kind])


def _tilted(picture: Picture, kind: Perturbation, amount: float) -> Picture:
    height, width = picture.shape[:2]
    if kind == "tilt":
        # The plane turns about its vertical axis, seen from two widths away.
        lean = np.sin(np.deg2rad(amount)) / 2
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
        near, far = lean * height / 2, lean * height / 2
        leaning = [[0, -near], [width, far], [width, height - far], [0, height + near]]
        turn = cv2.getPerspectiveTransform(corners, np.array(leaning, dtype=np.float32))
        return as_floats(cv2.warpPerspective(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    if kind == "rotate":
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), amount, 1.0)
    else:
        matrix = np.array([[1, 0, amount * scale_of(picture)], [0, 1, 0]], dtype=np.float32)
    return as_floats(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101))


def _flakes(picture: Picture, generator: np.random.Generator) -> Plane:
    drawn = generator.normal(0.1, 0.3, picture.shape[:2]).astype(np.float32)
    flakes = zoomed(drawn, 3.0)
    return streaked(np.where(flakes < 0.5, np.float32(0), np.clip(flakes, 0, 1)), 10.0, 4.0, -90.0)
