"""Decodes plain JPEGs to a model's clean pixels: Pillow's pixels, up to rounding, in half of its time.

libjpeg-turbo decodes and torch resizes. Torch's antialiased filters for bytes are Pillow's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.images.clean import crops_of, middle_box, scaled_size
from workers.data.images.plain_jpeg import decode_plain_jpeg, decoded_length, plain_jpeg
from workers.models.resizing import resized_planes
from workers.specs.initialization import Interpolation
from workers.specs.model_card import ModelCard


@dataclass(frozen=True)
class FastPicture:
    """A decoded plain JPEG."""

    pixels: npt.NDArray[np.uint8]
    """(height, width, 3): the whole picture, which may have been scaled down while it was decoded."""
    size: tuple[int, int]
    """The width and height of the encoded picture."""


def decode_fast(data: bytes, card: ModelCard) -> FastPicture | None:
    """The picture, no smaller than the model needs it; None for one that only `decode_rgb` can decode."""
    jpeg = plain_jpeg(data)
    if jpeg is None:
        return None
    size = jpeg.size
    is_cut = card.crop == "center" and middle_box(*size) != (0, 0, *size)
    pixels = decode_plain_jpeg(data, jpeg, least=None if is_cut else _resized_size(size, card))
    return None if pixels is None else FastPicture(pixels, size)


def prepare_fast(picture: FastPicture, card: ModelCard) -> npt.NDArray[np.uint8]:
    """The pixels for the model, uint8 (image_size, image_size, 3), as `prepare_clean` makes them."""
    centre: npt.NDArray[np.uint8] = crops_of(resize_fast(picture, card), card.image_size, 1)[0]
    return centre


def resize_fast(picture: FastPicture, card: ModelCard) -> npt.NDArray[np.uint8]:
    """The pixels that crops for the model are cut from, uint8 (height, width, 3), as `resize_clean` makes them."""
    size = _resized_size(picture.size, card)
    if card.crop == "none":
        return _resized(picture.pixels, picture.size, size, card.interpolation)
    left, top, right, bottom = middle_box(*picture.size)
    middle = right - left, bottom - top
    pixels = picture.pixels
    if middle != picture.size:
        pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
    return _resized(pixels, middle, size, card.interpolation)


def _resized_size(size: tuple[int, int], card: ModelCard) -> tuple[int, int]:
    """The width and height to which the picture, or what a centre crop can see of it, is resized for the model."""
    if card.crop == "none":
        return card.image_size, card.image_size
    left, top, right, bottom = middle_box(*size)
    return scaled_size(right - left, bottom - top, round(card.image_size / card.crop_fraction))


def _resized(
    pixels: npt.NDArray[np.uint8], encoded: tuple[int, int], size: tuple[int, int], interpolation: Interpolation
) -> npt.NDArray[np.uint8]:
    """Resizes to `size` (width, height). `pixels` are those of a picture of width and height `encoded`."""
    width, height = size
    if pixels.shape[:2] == (height, width) and encoded == size:
        return pixels
    part = decoded_length(encoded[0], pixels.shape[1]), decoded_length(encoded[1], pixels.shape[0])
    result: npt.NDArray[np.uint8] = resized_planes(pixels, size, part, interpolation).permute(1, 2, 0).numpy()
    return result
