"""Resizes clean pictures to a model's input: for the teacher that labels, for validation and for testing."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.specs.initialization import Interpolation
from workers.specs.model_card import ModelCard

_FILTERS: dict[Interpolation, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
_MOST_TIMES_AS_LONG = 8
"""How many times as long as wide the part is that is resized for a centre crop. No photograph is longer."""


def prepare_clean(image: Image.Image, card: ModelCard) -> npt.NDArray[np.uint8]:
    """The pixels of an RGB picture for a model, uint8 (image_size, image_size, 3), without any noise.

    Crop "none" resizes the whole picture. Crop "center" resizes its short side to round(image_size / crop_fraction) and
    keeps the centre. Both use the card's filter, and equal torchvision's Resize and CenterCrop of a PIL image to the
    pixel.
    """
    centre: npt.NDArray[np.uint8] = crops_of(resize_clean(image, card), card.image_size, 1)[0]
    return centre


def resize_clean(image: Image.Image, card: ModelCard) -> npt.NDArray[np.uint8]:
    """The pixels of an RGB picture as crops for a model are cut from it, uint8 (height, width, 3).

    With crop "none" there is nothing left to cut. Of a picture over 8 times as long as wide, the middle is returned.
    """
    if card.crop == "none":
        return np.asarray(_resized(image, (card.image_size, card.image_size), card.interpolation))
    middle = _cut(image, middle_box(image.width, image.height))
    short_side = round(card.image_size / card.crop_fraction)
    return np.asarray(_resized(middle, scaled_size(middle.width, middle.height, short_side), card.interpolation))


def crops_of(pixels: npt.NDArray[np.uint8], size: int, crops: Literal[1, 5]) -> npt.NDArray[np.uint8]:
    """The centre crop, or with it the four corners, of a resized picture: uint8 (crops, size, size, 3).

    `pixels` is (height, width, 3), both at least `size`. The centre is the first crop.
    """
    height, width, _ = pixels.shape
    bottom, right = height - size, width - size
    places = [(round(bottom / 2), round(right / 2)), (0, 0), (0, right), (bottom, 0), (bottom, right)]
    if crops == 1:
        top, left = places[0]
        return pixels[None, top : top + size, left : left + size]
    return np.stack([pixels[top : top + size, left : left + size] for top, left in places])


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


def _resized(image: Image.Image, size: tuple[int, int], interpolation: Interpolation) -> Image.Image:
    return image if image.size == size else image.resize(size, _FILTERS[interpolation])
