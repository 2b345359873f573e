"""What RandAugment's magnitude m means: each scale's operations and their arguments, as its source defines them. Pure.

Sources: google-research/noisystudent (randaugment.py, preprocessing.py), torchvision.transforms.RandAugment and timm's
rand_augment_transform (timm/data/auto_augment.py).
"""

from functools import lru_cache
from typing import NamedTuple

from torchvision.transforms.autoaugment import RandAugment as TorchvisionRandAugment

from workers.specs.noise import HIGHEST_MAGNITUDE, RandAugmentScale

SMALL_PICTURE = 64
"""Up to this height and width in pixels, pictures are moved and cut by the authors' distances for small pictures."""

_LEVELS = 10.0
"""The authors and timm divide m by this. The authors do not stop there."""
_TORCHVISION_BINS = 31
_AUTHORS_TRANSLATE_PIXELS = 100.0
_AUTHORS_CUTOUT_PIXELS = 40
_AUTHORS_SMALL_SHARE = 8
_TIMM_TRANSLATE_SHARE = 0.45
_BYTE = 256
_SOLARIZE_ADD = 110


class Operation(NamedTuple):
    """An operation at one magnitude. Each time it is applied, one of its arguments is drawn; all are equally likely."""

    name: str
    arguments: tuple[float, ...] = (0.0,)


@lru_cache(maxsize=4096)
def operations(scale: RandAugmentScale, m: float, height: int, width: int) -> tuple[Operation, ...]:
    """The scale's operations at magnitude m for a picture of this size; all are equally likely to be drawn.

    A drawn magnitude beyond the end of torchvision's or timm's scale counts as the end.
    """
    if scale == "authors":
        return _authors(max(0.0, m) / _LEVELS, height, width)
    on_scale = max(0.0, min(m, float(HIGHEST_MAGNITUDE[scale])))
    return _torchvision(round(on_scale), height, width) if scale == "torchvision" else _timm(on_scale, height, width)


def _authors(level: float, height: int, width: int) -> tuple[Operation, ...]:
    """The table of the authors' `level_to_arg`. Nothing is clipped.

    Moves and cuts are constant distances: 100 and 40 pixels a level of 10; an eighth of the side for small pictures
    (`_cifar10_preprocess_for_train`). `Solarize` and `Posterize` change less as m grows.
    """
    translate, cutout = _AUTHORS_TRANSLATE_PIXELS, _AUTHORS_CUTOUT_PIXELS
    if max(height, width) <= SMALL_PICTURE:
        cutout = max(height, width) // _AUTHORS_SMALL_SHARE
        translate = float(cutout)
    enhance = (level * 1.8 + 0.1,)
    return (
        Operation("AutoContrast"),
        Operation("Equalize"),
        Operation("Invert"),
        Operation("Rotate", _either_way(level * 30)),
        Operation("Posterize", (int(level * 4),)),
        Operation("Solarize", (int(level * _BYTE),)),
        Operation("Color", enhance),
        Operation("Contrast", enhance),
        Operation("Brightness", enhance),
        Operation("Sharpness", enhance),
        Operation("ShearX", _either_way(level * 0.3)),
        Operation("ShearY", _either_way(level * 0.3)),
        Operation("TranslateX", _either_way(level * translate)),
        Operation("TranslateY", _either_way(level * translate)),
        Operation("SolarizeAdd", (int(level * _SOLARIZE_ADD),)),
        Operation("Cutout", (int(level * cutout),)),
    )


def _torchvision(m: int, height: int, width: int) -> tuple[Operation, ...]:
    """torchvision's own table at the bin m."""
    space = TorchvisionRandAugment()._augmentation_space(_TORCHVISION_BINS, (height, width))
    return tuple(
        Operation(name, _either_way(float(values[m])) if signed else (float(values[m]) if values.ndim else 0.0,))
        for name, (values, signed) in space.items()
    )


def _timm(m: float, height: int, width: int) -> tuple[Operation, ...]:
    """timm's increasing operations (`inc1`), which are the ones whose effect grows with m."""
    level = m / _LEVELS
    enhance = (1 + 0.9 * level, max(0.1, 1 - 0.9 * level))
    return (
        Operation("AutoContrast"),
        Operation("Equalize"),
        Operation("Invert"),
        Operation("Rotate", _either_way(level * 30)),
        Operation("Posterize", (4 - int(level * 4),)),
        Operation("Solarize", (_BYTE - min(_BYTE, int(level * _BYTE)),)),
        Operation("SolarizeAdd", (min(128, int(level * _SOLARIZE_ADD)),)),
        Operation("Color", enhance),
        Operation("Contrast", enhance),
        Operation("Brightness", enhance),
        Operation("Sharpness", enhance),
        Operation("ShearX", _either_way(level * 0.3)),
        Operation("ShearY", _either_way(level * 0.3)),
        Operation("TranslateX", _either_way(level * _TIMM_TRANSLATE_SHARE * width)),
        Operation("TranslateY", _either_way(level * _TIMM_TRANSLATE_SHARE * height)),
    )


def _either_way(value: float) -> tuple[float, float]:
    return value, -value
