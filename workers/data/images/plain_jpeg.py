"""Decodes plain JPEGs with libjpeg-turbo itself (simplejpeg): to Pillow's pixels in two thirds of its time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from workers.data.errors import BrokenImage
from workers.data.images.jpeg_header import read_jpeg_header
from workers.data.images.picture_budget import check_file_bytes, check_jpeg

_FRAMES = (0xC0, 0xC1, 0xC2)
_COLORSPACES = ("YCbCr", "Gray")
_EIGHTHS = 8
_ROOM_WITH_FULL_COLOUR = {1: 2.75, 2: 3.0, 4: 2.0}
_ROOM_WITH_HALF_COLOUR = {1: 2.75, 2: 2.75, 4: 4.25}
"""For each scale, in eighths: how many times the wanted size the scaled picture must still be, so that a filter makes
of it what it makes of the whole picture, to less than 1 of 255 in the finest detail (docs/decisions/0008).
libjpeg-turbo has no vector code for other scales, which take as long as the whole."""


@dataclass(frozen=True)
class PlainJpeg:
    """A JPEG that `decode_plain_jpeg` can decode, according to its header."""

    width: int
    height: int
    half_colour: bool
    """Whether its colours have fewer pixels than its brightness, as in most photographs."""

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def is_scaled_down(self, least: tuple[int, int]) -> bool:
        """Whether it is decoded at a reduced scale if it is to be resized to `least` (width, height)."""
        return self.eighths(least) < _EIGHTHS

    def eighths(self, least: tuple[int, int]) -> int:
        """The scale, in eighths, at which it is decoded if a filter is to resize it to `least` (width, height).

        8 is the full scale. A larger `least` never gives a smaller scale.
        """
        room = min(self.width / least[0], self.height / least[1]) / _EIGHTHS
        rooms = _ROOM_WITH_HALF_COLOUR if self.half_colour else _ROOM_WITH_FULL_COLOUR
        return next((eighths for eighths, needed in rooms.items() if eighths * room >= needed), _EIGHTHS)


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """The JPEG, if it is plain; None for another format, a turned or CMYK picture, too many pixels, or a bad header."""
    header = read_jpeg_header(data)
    if header is None or header.turned or header.bits != 8 or header.frame not in _FRAMES:
        return None
    try:
        check_file_bytes(len(data))
        check_jpeg(header)
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, BrokenImage):
        return None
    if colorspace not in _COLORSPACES:
        return None
    return PlainJpeg(width, height, half_colour=header.layer_samples < header.layers)


def decode_plain_jpeg(
    data: bytes, jpeg: PlainJpeg, least: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8] | None:
    """Decodes to RGB pixels, (height, width, 3); None if the data are damaged in any way.

    If a filter is to resize the picture to `least` (width, height), it may be scaled down while it is decoded, with its
    sides rounded up.
    """
    eighths = _EIGHTHS if least is None else jpeg.eighths(least)
    asked = {}
    if eighths < _EIGHTHS:
        width, height = (-(-side * eighths // _EIGHTHS) for side in jpeg.size)
        asked = {"min_width": width, "min_height": height, "min_factor": _EIGHTHS / eighths}
    try:
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, **asked)
    except ValueError:
        return None
    return pixels


def decoded_length(length: int, to: int) -> float:
    """How many of `to` decoded pixels a side of `length` encoded pixels fills.

    A decoder scales by eighths and rounds the size up: the last pixel may stand for less than the others.
    """
    return length * (_EIGHTHS * to // length) / _EIGHTHS
