"""The input side of the noise: what happens to a picture on its way into a training batch."""

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image
from torchvision.transforms import Compose, InterpolationMode, RandomHorizontalFlip, RandomResizedCrop
from torchvision.transforms.autoaugment import RandAugment as TorchvisionRandAugment
from torchvision.transforms.autoaugment import _apply_op as apply_operation

from workers.specs.recipe import Recipe

MAGNITUDE_BINS = 31
"""The paper's magnitudes run from 0 to 30, so that m = 27 means what it means there."""


def training_transform(recipe: Recipe) -> Callable[[Image.Image], np.ndarray]:
    """RGB picture in, uint8 array (image_size, image_size, 3) out: crop, flip, RandAugment.

    Draws from the global generators of torch and of `random`. What RandAugment moves in from outside the picture is
    black for a picture without a crop and mid-grey otherwise, as the authors' code fills (128, 128, 128).
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
        steps.append(FastRandAugment(operations.n, operations.m, fill))
    return Compose([*steps, np.asarray])


class FastRandAugment:
    """torchvision's RandAugment, the same operations and magnitudes, at about a third of its cost on small pictures.

    torchvision builds its table of magnitudes anew for each operation, and draws with torch; here the table is built
    once a picture size, and the draws are `random`'s. What is done to the pixels is torchvision's own code.
    """

    def __init__(self, n: int, m: int, fill: list[float]) -> None:
        self._n = n
        self._m = m
        self._fill = fill

    def __call__(self, image: Image.Image) -> Image.Image:
        operations = magnitudes(self._m, image.height, image.width)
        for name, magnitude, signed in random.choices(operations, k=self._n):
            sign = -1.0 if signed and random.random() < 0.5 else 1.0
            image = apply_operation(image, name, sign * magnitude, InterpolationMode.NEAREST, self._fill)
        return image


@lru_cache(maxsize=4096)
def magnitudes(m: int, height: int, width: int) -> tuple[tuple[str, float, bool], ...]:
    """torchvision's operations for a picture of this size: name, magnitude at m of 30, whether its sign is drawn."""
    space = TorchvisionRandAugment()._augmentation_space(MAGNITUDE_BINS, (height, width))
    return tuple(
        (name, float(values[m]) if values.ndim > 0 else 0.0, signed) for name, (values, signed) in space.items()
    )


class _ResizeWhole:
    """Brings the whole picture to `size`, and leaves one of that size untouched."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        return image if image.size == self._size else image.resize(self._size, Image.Resampling.BICUBIC)
