"""Encoded bytes to RGB pictures, whatever the file holds; and the content hash that tells pictures apart."""

import hashlib
import io
import re
import warnings
from importlib.util import find_spec

import numpy as np
from PIL import Image, UnidentifiedImageError

from workers.data.errors import BrokenImage
from workers.data.images.damage import kind_of_damage
from workers.data.images.plain_jpeg import MAX_PIXELS, decode_plain_jpeg, plain_jpeg_size
from workers.data.names import READS_HEIF
from workers.specs.hygiene import BrokenKind

if READS_HEIF:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

__all__ = ["MAX_PIXELS", "BrokenImage", "content_hash", "decode_rgb", "short_reason"]

# Nothing else is tried: Pillow's other plugins are seldom used, and some of them start programs (EPS).
_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "PPM", "AVIF", "HEIF")
    if name != "AVIF" or find_spec("PIL.AvifImagePlugin") is not None  # of Pillow before 11.3
    if name != "HEIF" or READS_HEIF
)
_ORIENTATION_TAG = 0x0112
_TRANSPOSE_OF_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_IGNORED = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def decode_rgb(data: bytes) -> Image.Image:
    """The picture in mode RGB, upright (EXIF rotation applied), fully decoded; of an animation the first frame.

    Transparent pictures are laid over black, 16-bit grey is scaled to 8 bit. Raises BrokenImage for bytes that are
    empty, truncated, no picture, or a picture of more than MAX_PIXELS. Emits no warnings; safe in threads.
    """
    if len(data) == 0:
        raise BrokenImage(BrokenKind.EMPTY, "no bytes (a null or an empty file)")
    size = plain_jpeg_size(data)
    pixels = None if size is None else decode_plain_jpeg(data, size)
    return _decode_any(data) if pixels is None else Image.fromarray(pixels)


def _decode_any(data: bytes) -> Image.Image:
    _ignore_pillow_warnings()
    try:
        return _decode(data)
    except (BrokenImage, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BrokenImage(BrokenKind.TOO_LARGE, short_reason(error)) from error
    except UnidentifiedImageError:
        kind = kind_of_damage(data, "")
        known = kind is not BrokenKind.UNKNOWN_FORMAT
        raise BrokenImage(kind, "its header is damaged" if known else "not a picture of a known format") from None
    except Exception as error:
        # Hostile or damaged bytes make Pillow's plugins raise nearly anything (struct.error, KeyError, ...).
        reason = short_reason(error)
        raise BrokenImage(kind_of_damage(data, reason), reason) from error


def content_hash(data: bytes) -> bytes:
    """BLAKE2b of the encoded bytes, 16 bytes long: equal for equal files, whatever their names."""
    return hashlib.blake2b(data, digest_size=16).digest()


def short_reason(error: Exception) -> str:
    """What a quarantine file says of an error: its text on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160]


def _decode(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise BrokenImage(BrokenKind.TOO_LARGE, f"{width} x {height} pixels, more than {MAX_PIXELS}")
        image.load()
        transpose = _TRANSPOSE_OF_ORIENTATION.get(_orientation(image))
        upright: Image.Image = image if transpose is None else image.transpose(transpose)
        return _to_rgb(upright)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a damaged EXIF block does not spoil the pixels
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise BrokenImage(BrokenKind.UNSUPPORTED, f"32-bit pixels (mode {image.mode}) have no defined range")
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        black = Image.new("RGBA", transparent.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, transparent).convert("RGB")
    # copy(): a plain picture, detached from the file it was read from
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _ignore_pillow_warnings() -> None:
    # One lasting filter for Pillow's modules instead of catch_warnings(), which is not safe in threads. It is looked
    # for on every call because others (pytest, for one) restore the list of filters behind our back.
    if _PILLOW_IGNORED not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
