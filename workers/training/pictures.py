"""Encoded pictures to the pixels that a student is shown, decoding no more of them than it will see."""

import random
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from workers.data.images import decode_rgb
from workers.data.plain_jpeg import decode_plain_jpeg, plain_jpeg_size
from workers.training.noise import Pixels, TrainingTransform

_MEMORY_BYTES = 128 << 20
_FILTER_ROOM = 1.5
"""A JPEG is decoded at a reduced scale where the crop is then still so many times the size that is wanted: what differs
is less than what bicubic and bilinear filters differ by (0.7 to 1.7 of 255 on average, against 1.0 to 1.7)."""


@dataclass(frozen=True)
class Sample:
    """One encoded picture; `key` tells it from all others of the training."""

    key: Hashable
    data: bytes


class PictureReader:
    """Makes a training picture of a sample, in one process."""

    def __init__(self, transform: TrainingTransform, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._transform = transform
        self._memory = PictureMemory(memory_bytes)

    def __call__(self, sample: Sample, draws: random.Random) -> Pixels:
        """uint8 (size, size, 3). Raises BrokenImage."""
        whole = self._memory.get(sample)
        if whole is None:
            return self._decoded_for_its_crop(sample.data, draws)
        height, width, _ = whole.shape
        return self._transform(whole, self._transform.box(width, height, draws), draws)

    def _decoded_for_its_crop(self, data: bytes, draws: random.Random) -> Pixels:
        size = plain_jpeg_size(data)
        if size is None:
            whole = np.array(decode_rgb(data))
            box = self._transform.box(whole.shape[1], whole.shape[0], draws)
            return self._transform(whole, box, draws)
        box = self._transform.box(*size, draws)
        wanted = self._transform.size
        least = -(-size[0] * wanted // box.width), -(-size[1] * wanted // box.height)
        pixels = decode_plain_jpeg(data, size, least, _FILTER_ROOM)
        if pixels is None:
            pixels = np.array(decode_rgb(data))
        return self._transform(pixels, box.scaled(size, (pixels.shape[1], pixels.shape[0])), draws)


class PictureMemory:
    """Decodes each picture once, of as many as fit into `max_bytes`: a small labeled set is read again and again.

    Nothing is pushed out: in a set that does not fit, the first pictures are the ones that are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._bytes_left = max_bytes
        self._pictures: dict[Hashable, Pixels] = {}

    def get(self, sample: Sample) -> Pixels | None:
        """The whole picture, not to be changed in place; None once it is full. Raises BrokenImage."""
        picture = self._pictures.get(sample.key)
        if picture is None and self._bytes_left > 0:
            picture = np.array(decode_rgb(sample.data))
            self._bytes_left -= picture.nbytes
            if self._bytes_left >= 0:
                self._pictures[sample.key] = picture
        return picture
