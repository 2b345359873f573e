"""Checks, before a picture is decoded, the bytes of its file, its pixels, and the memory that its decoder will take."""

from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.errors import BrokenImage
from workers.data.images.jpeg_header import JpegHeader
from workers.specs.hygiene import BrokenKind

MAX_PIXELS = 100_000_000
"""The most pixels of a JPEG that libjpeg-turbo decodes straight to RGB. Others take more memory a pixel, and may have
fewer pixels."""
_MAX_DECODER_BYTES = 4 * MAX_PIXELS

_COEFFICIENT_BYTES = 2
_PILLOW_BYTES = 4
"""The bytes of an RGB pixel in Pillow's memory."""
_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 12, "HEIF": 12, "JPEG2000": 20}
"""Measured at the peak, with the conversion to RGB and the turn. Other formats take twice Pillow's own bytes."""


def check_file_bytes(size: int) -> None:
    """Raises BrokenImage for a file that is too large to be a picture."""
    if size > MOST_IMAGE_BYTES:
        raise BrokenImage(BrokenKind.TOO_LARGE, f"a file of {size >> 20} MiB; up to {MOST_IMAGE_BYTES >> 20} are read")


def check_pixels(image_format: str | None, width: int, height: int) -> None:
    """Raises BrokenImage if Pillow would need too much memory to decode a picture of this size and format."""
    _check(width, height, _BYTES_A_PIXEL.get(image_format or "", 2 * _PILLOW_BYTES))


def check_jpeg(header: JpegHeader) -> None:
    """Raises BrokenImage if a JPEG would need too much memory, which its header tells more exactly."""
    _check(header.width, header.height, _jpeg_bytes_a_pixel(header))


def _jpeg_bytes_a_pixel(header: JpegHeader) -> float:
    converted = header.turned or header.layers not in (1, 3)
    coefficients = _COEFFICIENT_BYTES * header.layer_samples if header.in_pieces else 0
    return max(2 * _PILLOW_BYTES if converted else _PILLOW_BYTES, _PILLOW_BYTES + coefficients)


def _check(width: int, height: int, bytes_a_pixel: float) -> None:
    most = int(_MAX_DECODER_BYTES / bytes_a_pixel)
    if width * height > most:
        raise BrokenImage(BrokenKind.TOO_LARGE, f"{width} x {height} pixels; of its kind up to {most} are decoded")


def webp_size(data: bytes) -> tuple[int, int] | None:
    """The width and height of a WebP's canvas; None for other formats. Pillow takes memory for it on opening."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
