"""Decodes pictures to the pixels that a student sees, and decodes no more of them than it will see."""

import math
import random
from collections.abc import Hashable
from dataclasses import dataclass

from workers.data.errors import BrokenImage
from workers.data.images.decode import as_pixels, decode_rgb
from workers.data.images.plain_jpeg import PlainJpeg, decode_plain_jpeg, plain_jpeg
from workers.models.clean_batches import clean_picture
from workers.specs.model_card import ModelCard
from workers.training.input.noise import Pixels, TrainingTransform

_MEMORY_BYTES = 128 << 20


@dataclass(frozen=True)
class Sample:
    """One encoded picture. No other picture of the training has the same `key`."""

    key: Hashable
    data: bytes


class PictureReader:
    """Turns samples into training pictures, in one process."""

    def __init__(self, transform: TrainingTransform, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._transform = transform
        self._memory = PictureMemory(memory_bytes)

    def __call__(self, sample: Sample, draws: random.Random) -> Pixels:
        """The training picture, uint8 (size, size, 3). Raises BrokenImage.

        It is the same whether the memory had room for the sample or not.
        """
        whole = self._memory.get(sample.key)
        if whole is None:
            jpeg, wanted = plain_jpeg(sample.data), self._transform.size
            # It is not kept as a whole, because that would show other pixels than the reduced decoding.
            if jpeg is not None and jpeg.is_scaled_down((wanted, wanted)):
                return self._decoded_for_its_crop(sample.data, jpeg, draws)
            whole = _decoded(sample.data, jpeg)
            self._memory.keep(sample.key, whole)
        height, width, _ = whole.shape
        return self._transform(whole, self._transform.box(width, height, draws), draws)

    def _decoded_for_its_crop(self, data: bytes, jpeg: PlainJpeg, draws: random.Random) -> Pixels:
        box = self._transform.box(jpeg.width, jpeg.height, draws)
        wanted = self._transform.size
        least = math.ceil(jpeg.width * wanted / box.width), math.ceil(jpeg.height * wanted / box.height)
        pixels = _decoded(data, jpeg, least)
        return self._transform(pixels, box.decoded(jpeg.size, (pixels.shape[1], pixels.shape[0])), draws)


class TestedPictureReader:
    """Turns samples into pictures as the model of `card` sees them in labeling, validation and tests."""

    def __init__(self, card: ModelCard, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._card = card
        self._memory = PictureMemory(memory_bytes)

    def __call__(self, sample: Sample, draws: random.Random) -> Pixels:
        """The picture, uint8 (size, size, 3), which draws nothing. Raises BrokenImage."""
        known = self._memory.get(sample.key)
        if known is not None:
            return known
        picture = clean_picture(sample.data, self._card, with_thumbnail=False)
        if isinstance(picture, BrokenImage):
            raise picture
        self._memory.keep(sample.key, picture.pixels)
        return picture.pixels


def _decoded(data: bytes, jpeg: PlainJpeg | None, least: tuple[int, int] | None = None) -> Pixels:
    pixels = None if jpeg is None else decode_plain_jpeg(data, jpeg, least)
    return as_pixels(decode_rgb(data)) if pixels is None else pixels


class PictureMemory:
    """Keeps whole pictures, as many as fit into `max_bytes`, because a small labeled set is read again and again.

    No picture is removed: of a set that does not fit, the first pictures are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._bytes_left = max_bytes
        self._pictures: dict[Hashable, Pixels] = {}

    def get(self, key: Hashable) -> Pixels | None:
        """The picture with that key, which must not be changed in place; None if it was not kept."""
        return self._pictures.get(key)

    def keep(self, key: Hashable, picture: Pixels) -> None:
        """Keeps the picture unless the memory is full."""
        self._bytes_left -= picture.nbytes
        if self._bytes_left >= 0:
            self._pictures[key] = picture
