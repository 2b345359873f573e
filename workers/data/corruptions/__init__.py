"""The 15 corruptions of ImageNet-C at five severities (Hendrycks and Dietterich 2019), for pictures of any size."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from workers.data.corruptions import blurs, digital, noises, weather
from workers.data.corruptions.picture import Picture
from workers.specs.robustness import CORRUPTIONS, SEVERITIES, Corruption

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
    """Corrupts a picture, uint8 (height, width, 3), at severity 1 to 5. Equal generator states give equal pictures.

    Kinds and strengths are those of Hendrycks and Dietterich (2019, appendix B) for 224 pixels. Lengths in pixels are
    scaled to the picture's shorter side (docs/decisions/0005).
    """
    corrupted = _KINDS[kind](as_picture(image), SEVERITIES.index(severity), generator)
    return to_pixels(corrupted)


def corrupt_by_row(image: npt.NDArray[np.uint8], row: int) -> npt.NDArray[np.uint8]:
    """Corrupts a picture with the kind and severity of its row: a dataset then holds all of them equally often."""
    kind = CORRUPTIONS[row % len(CORRUPTIONS)]
    severity = SEVERITIES[row // len(CORRUPTIONS) % len(SEVERITIES)]
    return corrupt(image, kind, severity, generator_of("row", row))


def generator_of(*key: str | int) -> np.random.Generator:
    """A generator whose numbers depend on `key` alone, on any machine."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def as_picture(pixels: npt.NDArray[np.uint8]) -> Picture:
    """Pixels of 0..255 as a picture of 0..1."""
    return pixels.astype(np.float32) / np.float32(255)


def to_pixels(picture: Picture) -> npt.NDArray[np.uint8]:
    """A picture as pixels: clipped to 0..1, and rounded to 0..255."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
