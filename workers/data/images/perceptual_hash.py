"""A perceptual hash of 64 bits: pictures that look the same differ in few bits, however they are encoded.

This is pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1):
whether each of the 64 lowest cosine waves that vary in both directions is above their median.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from workers.data.images.decode import as_pixels, decode_rgb
from workers.data.images.plain_jpeg import decode_plain_jpeg, plain_jpeg

_SIDE = 96
"""The width and height that are hashed. Fewer pixels make hashes of resized pictures differ; more take longer."""
_WAVES = 8
_LEAST_AMPLITUDE = 0.1
"""In grey levels of 255. Weaker waves are artifacts of rounding and compression in a flat picture."""


def thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The part of an upright RGB picture, (height, width, 3), that is hashed: grey, (96, 96), whatever its shape."""
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def perceptual_hashes(thumbnails: Sequence[npt.NDArray[np.uint8]]) -> list[int | None]:
    """The hash of each picture; None for one that is too flat to be told from others.

    Hash many pictures at a time: for a single one numpy takes longer than `thumbnail`. All hashes have 32 bits set, so
    two of them differ in an even number of bits, and in 32 on average.
    """
    if not thumbnails:
        return []
    waves = _waves()
    amplitudes = (waves @ np.stack(thumbnails).astype(np.float32) @ waves.T).reshape(len(thumbnails), -1)
    half = amplitudes.shape[1] // 2
    is_flat = np.count_nonzero(np.abs(amplitudes) >= _LEAST_AMPLITUDE, axis=1) < half
    lower_middle = np.partition(amplitudes, half - 1, axis=1)[:, half - 1 : half]
    bits = np.packbits(amplitudes > lower_middle, axis=1)
    hashes = bits.view(">u8").ravel().tolist()
    return [None if flat else value for value, flat in zip(hashes, is_flat.tolist(), strict=True)]


def encoded_thumbnail(data: bytes) -> npt.NDArray[np.uint8]:
    """The `thumbnail` of an encoded picture. Raises BrokenImage.

    While a large JPEG is decoded, it is scaled down to a few times the pixels that are hashed.
    """
    jpeg = plain_jpeg(data)
    pixels = None if jpeg is None else decode_plain_jpeg(data, jpeg, least=(_SIDE // 2, _SIDE // 2))
    return thumbnail(as_pixels(decode_rgb(data)) if pixels is None else pixels)


@lru_cache(1)
def _waves() -> npt.NDArray[np.float32]:
    """The first cosine waves but the constant one, (waves, pixels), scaled to give mean amplitudes."""
    places = (np.arange(_SIDE) + 0.5) / _SIDE
    waves = np.cos(np.pi * np.outer(np.arange(1, _WAVES + 1), places)) / _SIDE
    return np.asarray(waves, dtype=np.float32)
