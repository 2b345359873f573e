"""Decodes the bytes of any image file to an RGB picture, and hashes them."""

import contextlib
import hashlib
import io
import re
import warnings
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from workers.data.errors import BrokenImage
from workers.data.images.damage import kind_of_damage
from workers.data.images.jpeg_header import read_jpeg_header
from workers.data.images.picture_budget import check_file_bytes, check_jpeg, check_pixels, webp_size
from workers.data.images.plain_jpeg import decode_plain_jpeg, plain_jpeg
from workers.data.images.png_texts import is_png_with_long_texts, without_long_texts
from workers.data.names import READS_HEIF
from workers.specs.hygiene import BrokenKind

if READS_HEIF:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

__all__ = ["BrokenImage", "as_pixels", "content_hash", "decode_rgb", "short_reason"]

# No other format is tried: Pillow's other plugins are rarely used, and some of them start programs (EPS).
_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "PPM", "AVIF", "HEIF")
    if name != "AVIF" or find_spec("PIL.AvifImagePlugin") is not None  # of Pillow before 11.3
    if name != "HEIF" or READS_HEIF
)

_TILE_TAGS = (322, 323)
_BITS_TAG = 258
_PNG_HEAD, _PNG_BITS_AT = b"\x89PNG\r\n\x1a\n", 24
_TWELVE_BITS, _SIXTEEN_BITS = 2**12 - 1, 2**16 - 1
_LARGE, _STRIP = 50_000_000, 1_000_000
"""In pixels."""
_PILLOW_IGNORED = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def decode_rgb(data: bytes) -> Image.Image:
    """Decodes a picture to mode RGB, upright: `ImageOps.exif_transpose(Image.open(file)).convert("RGB")`.

    Transparency is dropped, and of an animation the first frame is taken. Unlike Pillow, which would clip it, grey of
    16 or 12 bits is scaled to 8. Raises BrokenImage for bytes that are empty, truncated or no picture, and for a
    picture whose decoder would need more memory than `picture_budget` allows. Emits no warnings. Safe in threads.
    """
    if len(data) == 0:
        raise BrokenImage(BrokenKind.EMPTY, "no bytes (a null or an empty file)")
    check_file_bytes(len(data))
    jpeg = plain_jpeg(data)
    # Pillow needs less memory for a large picture, which would be copied to Pillow in the end.
    pixels = None if jpeg is None or jpeg.width * jpeg.height > _LARGE else decode_plain_jpeg(data, jpeg)
    return _decode_any(data) if pixels is None else Image.fromarray(pixels)


def is_deep(data: bytes) -> bool:
    """Whether the picture has more than 8 bits a sample, according to its header. `decode_rgb` scales these to 8."""
    if data.startswith(_PNG_HEAD):
        return data[_PNG_BITS_AT : _PNG_BITS_AT + 1] == b"\x10"
    if read_jpeg_header(data) is not None:
        return False
    _ignore_pillow_warnings()
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    except Exception:  # a hostile file may raise anything; decoding it tells what is wrong
        return False


def as_pixels(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """The pixels of an RGB picture, (height, width, 3), copied in strips: np.asarray() would copy a large one twice."""
    pixels = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
    rows = max(1, _STRIP // picture.width)
    for top in range(0, picture.height, rows):
        bottom = min(top + rows, picture.height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _decode_any(data: bytes) -> Image.Image:
    _ignore_pillow_warnings()
    try:
        return _decode_with_long_texts(data)
    except (BrokenImage, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BrokenImage(BrokenKind.TOO_LARGE, short_reason(error)) from error
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Exception as error:
        # Hostile or damaged bytes make Pillow's plugins raise nearly anything (struct.error, KeyError, ...).
        reason = short_reason(error)
        raise BrokenImage(kind_of_damage(data, reason), reason) from error


def _unidentified(data: bytes) -> BrokenImage:
    jpeg = read_jpeg_header(data)
    if jpeg is not None and jpeg.bits != 8:
        return BrokenImage(BrokenKind.UNSUPPORTED, f"a JPEG of {jpeg.bits} bits a sample; those of 8 are read")
    kind = kind_of_damage(data, "")
    known = kind is not BrokenKind.UNKNOWN_FORMAT
    return BrokenImage(kind, "its header is damaged" if known else "not a picture of a known format")


def content_hash(data: bytes) -> bytes:
    """The BLAKE2b hash of the encoded bytes, 16 bytes long. Equal files have equal hashes, whatever their names."""
    return hashlib.blake2b(data, digest_size=16).digest()


def short_reason(error: Exception) -> str:
    """The text of an error on one line, as quarantine files tell it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160]


def _decode_with_long_texts(data: bytes) -> Image.Image:
    try:
        return _decode(data)
    except ValueError as error:
        if not is_png_with_long_texts(data, error):
            raise
        return _decode(without_long_texts(data))


def _decode(data: bytes) -> Image.Image:
    _check_before_it_is_opened(data)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check_before_it_is_loaded(image, data)
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block does not spoil the pixels
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


def _check_before_it_is_opened(data: bytes) -> None:
    """Checks formats for which opening alone takes memory, or whose header says more than Pillow passes on."""
    jpeg, webp = read_jpeg_header(data), webp_size(data)
    if jpeg is not None:
        check_jpeg(jpeg)
    if webp is not None:
        check_pixels("WEBP", *webp)


def _check_before_it_is_loaded(image: Image.Image, data: bytes) -> None:
    if image.format in ("JPEG", "MPO") and read_jpeg_header(data) is not None:
        return  # checked more exactly
    check_pixels(image.format, *image.size)
    # A tile is decoded whole, however little of it is shown.
    check_pixels(image.format, *(_tiff_tag(image, tag) for tag in _TILE_TAGS))


def _tiff_tag(image: Image.Image, tag: int) -> int:
    """A number in a TIFF's tags, or the first of several; 0 if there is none."""
    value = getattr(image, "tag_v2", {}).get(tag, 0)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else 0


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        grey = np.asarray(image).astype(np.uint32)
        white = _white(image, grey)
        return Image.fromarray(np.minimum((grey * 255 + white // 2) // white, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        reason = f"pixels of 32 bits, or with a sign, have no defined range (mode {image.mode})"
        raise BrokenImage(BrokenKind.UNSUPPORTED, reason)
    # _new() detaches the picture from its file without the copy that convert() would make.
    return image._new(image.im) if image.mode == "RGB" else image.convert("RGB")


def _white(image: Image.Image, grey: npt.NDArray[np.uint32]) -> int:
    """The value of white: as the file says, or else of 16 bits, or of 12 if no pixel is brighter.

    Cameras and scanners write 12 bits into files of 16 without saying so. Read as 16 bits, such a picture would be
    nearly black.
    """
    bits = _tiff_tag(image, _BITS_TAG)
    if 8 < bits < 16:
        return (1 << bits) - 1
    is_of_twelve = image.mode != "I" and grey.size and int(grey.max()) <= _TWELVE_BITS
    return _TWELVE_BITS if is_of_twelve else _SIXTEEN_BITS


def _ignore_pillow_warnings() -> None:
    # One lasting filter for Pillow's modules, because catch_warnings() is not safe in threads. Every call looks for it,
    # because others (pytest, for example) reset the list of filters.
    if _PILLOW_IGNORED not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
