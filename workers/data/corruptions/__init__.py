"""The 15 kinds of corrupted images of ImageNet-C at five severities, for pictures of any size."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from workers.data.corruptions import blurs, digital, noises, weather
from workers.specs.robustness import CORRUPTIONS, SEVERITIES, Corruption

Picture = npt.NDArray[np.float32]
"""(height, width, 3) in 0..1"""

_KINDS: Mapping[Corruption, Callable[[Picture, int, np.random.Generator], Picture]] = {
    "gaussian_noise": noises.gaussian_noise,
    "shot_noise": noises.shot_noise,
    "impulse_noise": noises.impulse_noise,
    "defocus_blur": blurs.defocus_blur,
    "glass_blur": blurs.glass_blur,
    "motion_blur": blurs.motion_blur,
    "zoom_blur": blurs.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}


def corrupt(
    image: npt.NDArray[np.uint8], kind: Corruption, severity: int, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """The picture, uint8 (height, width, 3), corrupted at severity 1 to 5; the same for the same generator state.

    Kinds and strengths are Hendrycks and Dietterich's (2019, appendix B), made for 224 pixels: lengths in pixels are
    scaled to the picture's shorter side (docs/decisions/0005).
    """
    corrupted = _KINDS[kind](image.astype(np.float32) / 255, SEVERITIES.index(severity), generator)
    return to_pixels(corrupted)


def corrupt_by_row(image: npt.NDArray[np.uint8], row: int) -> npt.NDArray[np.uint8]:
    """The picture under the kind and severity that fall to its row: a whole set then holds all of them alike."""
    kind = CORRUPTIONS[row % len(CORRUPTIONS)]
    severity = SEVERITIES[row // len(CORRUPTIONS) % len(SEVERITIES)]
    return corrupt(image, kind, severity, generator_of("row", row))


def generator_of(*key: str | int) -> np.random.Generator:
    """A generator whose numbers depend on the key alone, on any machine."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def to_pixels(picture: Picture) -> npt.NDArray[np.uint8]:
    """Clipped to 0..1 and rounded to uint8."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
