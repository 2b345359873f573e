"""How a clean picture is brought to a model's size: for the teacher that labels, for validation and for testing."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from workers.specs.model_card import ModelCard


def prepare_clean(image: Image.Image, card: ModelCard) -> npt.NDArray[np.uint8]:
    """An RGB picture as uint8 of shape (card.image_size, card.image_size, 3), without any noise.

    Crop "none" resizes the whole picture, "center" resizes the short side to round(image_size / crop_fraction) and
    keeps the centre: both bicubic, and to the pixel what torchvision's Resize and CenterCrop do with a PIL image.
    """
    size = card.image_size
    if card.crop == "none":
        return np.asarray(_resized(image, (size, size)))
    scaled = _resized(image, scaled_size(image.width, image.height, round(size / card.crop_fraction)))
    left = round((scaled.width - size) / 2)
    top = round((scaled.height - size) / 2)
    return np.asarray(scaled.crop((left, top, left + size, top + size)))


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height of a picture whose shorter side is brought to `short_side`."""
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
