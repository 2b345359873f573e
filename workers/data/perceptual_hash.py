"""A perceptual hash of 64 bits: pictures that look the same differ in few of them, however they are encoded.

The signs, around their median, of the 64 lowest cosine waves that vary in both directions: pHash (Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1).
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from workers.data.images import decode_rgb
from workers.data.plain_jpeg import decode_plain_jpeg, plain_jpeg_size

_SIDE = 96
"""Pixels that are looked at, each way. With fewer, a resized picture's hash strays; with more, it takes longer."""
_WAVES = 8
_LEAST_AMPLITUDE = 0.1
"""In grey levels of 255. Below it waves are what rounding and compression make of a flat picture."""


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> int | None:
    """The hash of an upright RGB picture, (height, width, 3); None where it is too flat to be told from others.

    Hashes have 32 bits set, so two of them differ in an even number of bits: in 32 on average.
    """
    height, width = min(_SIDE, pixels.shape[0]), min(_SIDE, pixels.shape[1])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    amplitudes = (_waves(height) @ grey @ _waves(width).T).ravel()
    if np.count_nonzero(np.abs(amplitudes) >= _LEAST_AMPLITUDE) < amplitudes.size / 2:
        return None
    half = amplitudes.size // 2
    lower_middle = np.partition(amplitudes, half - 1)[half - 1]
    return int.from_bytes(np.packbits(amplitudes > lower_middle).tobytes(), "big")


def hash_encoded(data: bytes) -> int | None:
    """The hash of an encoded picture. Raises BrokenImage.

    A large JPEG is scaled down to between one and two times the pixels that are looked at while it is decoded: that
    loses least of it, and takes least time.
    """
    size = plain_jpeg_size(data)
    pixels = None if size is None else decode_plain_jpeg(data, size, least=(_SIDE // 2, _SIDE // 2))
    return perceptual_hash(np.asarray(decode_rgb(data)) if pixels is None else pixels)


@lru_cache(_SIDE)
def _waves(pixels: int) -> npt.NDArray[np.float32]:
    """The first cosine waves without the constant one, (waves, pixels): a picture's amplitudes in them, averaged."""
    places = (np.arange(pixels) + 0.5) / pixels
    waves = np.cos(np.pi * np.outer(np.arange(1, _WAVES + 1), places)) / pixels
    return np.asarray(waves, dtype=np.float32)
