"""RandAugment of a picture, with the operations and magnitudes of the scale that the recipe names."""

import random
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op as apply_torchvision_operation

from workers.specs.noise import RandAugment
from workers.specs.recipe import Recipe
from workers.training.input.magnitudes import operations

Colour = tuple[int, int, int]

_GREY: Colour = (128, 128, 128)
_BLACK: Colour = (0, 0, 0)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13  # Pillow's ImageFilter.SMOOTH
_SOLARIZE_ADD_BELOW = 128
_ALL_BITS = 8

Applied = Callable[[Image.Image, str, float, random.Random], Image.Image]
"""Applies the operation of that name with its argument."""


class RandAugmentation:
    """Changes pictures by `n` operations, drawn with replacement (Cubuk et al. 2019).

    All randomness comes from `draws`, so that a sample is changed in the same way whoever reads it.
    """

    def __init__(self, settings: RandAugment, applied: Applied) -> None:
        self._settings = settings
        self._applied = applied

    def __call__(self, image: Image.Image, draws: random.Random) -> Image.Image:
        settings = self._settings
        table = operations(settings.scale, settings.m, image.height, image.width)
        for place in draws.choices(range(len(table)), k=settings.n):
            if settings.probability < 1 and draws.random() >= settings.probability:
                continue
            operation = table[place]
            if settings.m_std > 0:
                m = draws.gauss(settings.m, settings.m_std)
                operation = operations(settings.scale, m, image.height, image.width)[place]
            first, *other = operation.arguments
            argument = other[0] if other and draws.random() < 0.5 else first
            image = self._applied(image, operation.name, argument, draws)
        return image


def rand_augmentation(recipe: Recipe) -> RandAugmentation | None:
    """The recipe's RandAugment; None without one.

    Gaps are grey on the authors' scale, as in their code, and the recipe's mean colour on timm's, as its loaders have
    it. torchvision leaves the colour open: it is black for pictures without a crop, and grey otherwise.
    """
    settings = recipe.noise.rand_augment
    if settings is None:
        return None
    if settings.scale == "torchvision":
        return RandAugmentation(settings, TorchvisionOperations(_GREY if recipe.crop == "random_resized" else _BLACK))
    if settings.scale == "authors":
        return RandAugmentation(settings, PillowOperations(_GREY, (Image.Resampling.NEAREST,)))
    return RandAugmentation(
        settings, PillowOperations(_mean_colour(recipe), (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC))
    )


class TorchvisionOperations:
    """torchvision's operations on a picture, at a fraction of its cost.

    torchvision builds its table of magnitudes for each operation, and draws with torch. Pixels are changed by its own
    code, except for the smoothing within Sharpness, which OpenCV does to the same bytes in a fifth of Pillow's time.
    """

    def __init__(self, fill: Colour) -> None:
        self._fill = [float(value) for value in fill]

    def __call__(self, image: Image.Image, name: str, argument: float, draws: random.Random) -> Image.Image:
        if name == "Sharpness":
            return sharpness(image, 1.0 + argument)
        changed: Image.Image = apply_torchvision_operation(image, name, argument, InterpolationMode.NEAREST, self._fill)
        return changed


class PillowOperations:
    """The operations of the authors and of timm. Each use draws one of the filters for moved pixels."""

    def __init__(self, fill: Colour, filters: tuple[Image.Resampling, ...]) -> None:
        self._fill = fill
        self._filters = filters

    def __call__(self, image: Image.Image, name: str, argument: float, draws: random.Random) -> Image.Image:
        match name:
            case "AutoContrast":
                return ImageOps.autocontrast(image)
            case "Equalize":
                return ImageOps.equalize(image)
            case "Invert":
                return ImageOps.invert(image)
            case "Posterize":
                return posterize(image, int(argument))
            case "Solarize":
                return ImageOps.solarize(image, int(argument))
            case "SolarizeAdd":
                return solarize_add(image, int(argument))
            case "Color":
                return ImageEnhance.Color(image).enhance(argument)
            case "Contrast":
                return ImageEnhance.Contrast(image).enhance(argument)
            case "Brightness":
                return ImageEnhance.Brightness(image).enhance(argument)
            case "Sharpness":
                return sharpness(image, argument)
            case "Cutout":
                centre = draws.randrange(image.width), draws.randrange(image.height)
                return cut_out(image, centre, int(argument), self._fill)
            case "Rotate":
                return image.rotate(argument, self._filter(draws), fillcolor=self._fill)
            case "ShearX":
                return self._moved(image, (1, argument, 0, 0, 1, 0), draws)
            case "ShearY":
                return self._moved(image, (1, 0, 0, argument, 1, 0), draws)
            case "TranslateX":
                return self._moved(image, (1, 0, argument, 0, 1, 0), draws)
            case "TranslateY":
                return self._moved(image, (1, 0, 0, 0, 1, argument), draws)
        raise ValueError(f"no operation is called {name!r}")

    def _moved(self, image: Image.Image, matrix: tuple[float, ...], draws: random.Random) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, self._filter(draws), fillcolor=self._fill)

    def _filter(self, draws: random.Random) -> Image.Resampling:
        return draws.choice(self._filters) if len(self._filters) > 1 else self._filters[0]


def sharpness(image: Image.Image, factor: float) -> Image.Image:
    """Does what Pillow's ImageEnhance.Sharpness does, byte for byte."""
    pixels = np.asarray(image)
    smooth = cv2.filter2D(pixels, -1, _SMOOTH)
    # Pillow's filter leaves the outermost pixels alone.
    smooth[[0, -1]] = pixels[[0, -1]]
    smooth[:, [0, -1]] = pixels[:, [0, -1]]
    return Image.blend(Image.fromarray(smooth), image, factor)


def posterize(image: Image.Image, bits: int) -> Image.Image:
    """Keeps the highest bits of each value: none at 0, where Pillow's own raises, and all at 8 or more."""
    lost = max(0, _ALL_BITS - bits)
    return image.point([value >> lost << lost for value in range(256)] * 3)


def solarize_add(image: Image.Image, addition: int) -> Image.Image:
    """Adds to the values below 128, up to 255; the others stay."""
    table = [min(255, value + addition) if value < _SOLARIZE_ADD_BELOW else value for value in range(256)]
    return image.point(table * 3)


def cut_out(image: Image.Image, centre: tuple[int, int], half: int, fill: Colour) -> Image.Image:
    """Fills the square of twice `half` pixels around `centre` (DeVries and Taylor 2017). It may leave the picture."""
    changed = image.copy()
    left, top = centre[0] - half, centre[1] - half
    changed.paste(fill, (left, top, left + 2 * half, top + 2 * half))
    return changed


def _mean_colour(recipe: Recipe) -> Colour:
    red, green, blue = (max(0, min(255, round(255 * value))) for value in recipe.mean)
    return red, green, blue
