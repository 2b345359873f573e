"""The input noise: crops, flips and RandAugment of a picture on its way into a batch (Xie et al., section 3.1)."""

import math
import random
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.data.images.plain_jpeg import decoded_length
from workers.models.resizing import resized_planes
from workers.specs.initialization import Interpolation
from workers.specs.recipe import Recipe
from workers.training.input.rand_augment import rand_augmentation

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3), RGB."""

_CROP_AREA = (0.08, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)
_CROP_TRIES = 10

# One thread a process: loader processes work side by side, and OpenCV's own threads do not survive their fork.
cv2.setNumThreads(0)


@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels. It begins with a whole pixel, and may end within one."""

    left: int
    top: int
    width: float
    height: float

    def decoded(self, size: tuple[int, int], to: tuple[int, int]) -> "Box":
        """The same part of a picture of width and height `size` that was decoded to width and height `to`.

        It begins with the nearest pixel, and has the size that was drawn unless it would leave the picture.
        """
        left, width = _decoded_side(self.left, self.width, size[0], to[0])
        top, height = _decoded_side(self.top, self.height, size[1], to[1])
        return Box(left, top, width, height)


class TrainingTransform:
    """Crops, resizes, flips and augments pictures to uint8 (image_size, image_size, 3).

    All randomness comes from `draws`, so that a sample is changed in the same way whoever reads it.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.size = recipe.image_size
        self._interpolation = recipe.interpolation
        self._crops = recipe.crop == "random_resized"
        self._flips = recipe.horizontal_flip
        self._rand_augment = rand_augmentation(recipe)

    def box(self, width: int, height: int, draws: random.Random) -> Box:
        """Draws the part of a picture of this size that is shown. It must be drawn first."""
        return random_resized_box(width, height, draws) if self._crops else Box(0, 0, width, height)

    def __call__(self, pixels: Pixels, box: Box, draws: random.Random) -> Pixels:
        """The transformed picture. `pixels` stay as they are."""
        shown = resized(pixels, box, self.size, self._interpolation)
        if self._flips and draws.random() < 0.5:
            shown = np.asarray(cv2.flip(shown, 1), dtype=np.uint8)
        if self._rand_augment is None:
            return shown
        return np.asarray(self._rand_augment(Image.fromarray(shown), draws))


def _decoded_side(start: int, length: float, size: int, to: int) -> tuple[int, float]:
    filled = decoded_length(size, to)
    first = min(round(start * filled / size), math.ceil(filled) - 1)
    return first, min(length * filled / size, filled - first)


def random_resized_box(width: int, height: int, draws: random.Random) -> Box:
    """Draws a crop of 8 to 100 % of the area and of ratio 3:4 to 4:3 (Szegedy et al. 2015).

    It does what torchvision's RandomResizedCrop.get_params does, with draws of its own.
    """
    for _ in range(_CROP_TRIES):
        area = width * height * draws.uniform(*_CROP_AREA)
        ratio = math.exp(draws.uniform(math.log(_CROP_RATIO[0]), math.log(_CROP_RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return Box(draws.randint(0, width - across), draws.randint(0, height - down), across, down)
    # The picture is so narrow or so wide that no box fits: the largest one in its middle is taken.
    across = min(width, round(height * _CROP_RATIO[1]))
    down = min(height, round(width / _CROP_RATIO[0]))
    return Box((width - across) // 2, (height - down) // 2, across, down)


def resized(pixels: Pixels, box: Box, size: int, interpolation: Interpolation = "bicubic") -> Pixels:
    """The part of the pixels in `box`, resized to height and width `size`."""
    shown = pixels[box.top : box.top + math.ceil(box.height), box.left : box.left + math.ceil(box.width)]
    if (box.width, box.height) == (size, size):
        return shown
    red, green, blue = resized_planes(shown, (size, size), (box.width, box.height), interpolation)
    # The filter leaves one plane for each colour, which the next step would read slowly.
    return np.asarray(cv2.merge([red.numpy(), green.numpy(), blue.numpy()]), dtype=np.uint8)
