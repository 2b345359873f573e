"""The input side of the noise: what happens to a picture on its way into a training batch."""

from collections.abc import Callable

import numpy as np
from PIL import Image
from torchvision.transforms import Compose, InterpolationMode, RandAugment, RandomHorizontalFlip, RandomResizedCrop

from workers.specs.recipe import Recipe

MAGNITUDE_BINS = 31
"""The paper's magnitudes run from 0 to 30, so that m = 27 means what it means there."""


def training_transform(recipe: Recipe) -> Callable[[Image.Image], np.ndarray]:
    """RGB picture in, uint8 array (image_size, image_size, 3) out: crop, flip, RandAugment.

    Draws from torch's global generator. What RandAugment moves in from outside the picture is black for a
    picture without a crop and mid-grey otherwise, as the authors' code fills (128, 128, 128).
    """
    size = (recipe.image_size, recipe.image_size)
    steps: list[Callable[[Image.Image], Image.Image]] = []
    if recipe.crop == "random_resized":
        steps.append(RandomResizedCrop(size, interpolation=InterpolationMode.BICUBIC))
    else:
        steps.append(_ResizeWhole(size))
    if recipe.horizontal_flip:
        steps.append(RandomHorizontalFlip())
    if recipe.noise.rand_augment is not None:
        fill = [0, 0, 0] if recipe.crop == "none" else [128, 128, 128]
        operations = recipe.noise.rand_augment
        steps.append(
            RandAugment(num_ops=operations.n, magnitude=operations.m, num_magnitude_bins=MAGNITUDE_BINS, fill=fill)
        )
    return Compose([*steps, np.asarray])


class _ResizeWhole:
    """Brings the whole picture to `size`, and leaves one of that size untouched."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        return image if image.size == self._size else image.resize(self._size, Image.Resampling.BICUBIC)
