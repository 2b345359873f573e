"""Resizes clean pictures to a model's input: for the teacher that labels, for validation and for testing."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.specs.model_card import ModelCard

_MOST_TIMES_AS_LONG = 8
"""How many times as long as wide the part is that is resized for a centre crop. No photograph is longer."""


def prepare_clean(image: Image.Image, card: ModelCard) -> npt.NDArray[np.uint8]:
    """The pixels of an RGB picture for a model, uint8 (image_size, image_size, 3), without any noise.

    Crop "none" resizes the whole picture. Crop "center" resizes its short side to round(image_size / crop_fraction) and
    keeps the centre. Both are bicubic, and equal torchvision's Resize and CenterCrop of a PIL image to the pixel.
    """
    size = card.image_size
    if card.crop == "none":
        return np.asarray(_resized(image, (size, size)))
    middle = _cut(image, middle_box(image.width, image.height))
    scaled = _resized(middle, scaled_size(middle.width, middle.height, round(size / card.crop_fraction)))
    left = round((scaled.width - size) / 2)
    top = round((scaled.height - size) / 2)
    return np.asarray(scaled.crop((left, top, left + size, top + size)))


def middle_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a picture that a centre crop can see: an ordinary picture as a whole.

    To resize a whole line of a million pixels would take gigabytes. So its ends, which no crop reaches, are cut first.
    """
    longest = _MOST_TIMES_AS_LONG * min(width, height)
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return left, top, width - left, height - top


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The width and height of a picture once its shorter side is resized to `short_side`."""
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def _cut(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    return image if box == (0, 0, *image.size) else image.crop(box)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
