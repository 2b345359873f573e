"""How a clean picture is brought to a model's size: for the teacher that labels, for validation and for testing."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.specs.model_card import ModelCard

_MOST_TIMES_AS_LONG = 8
"""As wide, of what is resized for a centre crop: no photograph is as long."""


def prepare_clean(image: Image.Image, card: ModelCard) -> npt.NDArray[np.uint8]:
    """An RGB picture as uint8 of shape (card.image_size, card.image_size, 3), without any noise.

    Crop "none" resizes the whole picture, "center" resizes the short side to round(image_size / crop_fraction) and
    keeps the centre: both bicubic, and to the pixel what torchvision's Resize and CenterCrop do with a PIL image.
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
    """Left, top, right and bottom of all that a centre crop can see of a picture: the whole of an ordinary one.

    Resized as a whole, a line of a million pixels would take gigabytes; its ends, which no crop reaches, go before.
    """
    longest = _MOST_TIMES_AS_LONG * min(width, height)
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return left, top, width - left, height - top


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height of a picture whose shorter side is brought to `short_side`."""
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def _cut(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    return image if box == (0, 0, *image.size) else image.crop(box)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
