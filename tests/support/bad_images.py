"""A corpus of pictures as they occur on the web: unusual ones that must be readable, and broken ones of every kind."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from workers.specs.hygiene import BrokenKind

SIZE = (48, 32)
# How a camera stores an upright scene for each EXIF orientation: rotated so that the viewer's rotation undoes it.
STORED_BY_ORIENTATION = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Odd:
    """An unusual picture that must be readable."""

    data: bytes
    size: tuple[int, int] = SIZE
    looks_like_the_scene: bool = True


def encoded(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth picture without symmetry, so that a rotation or a wrong color shows."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    channels = [40 + 200 * x * y, 220 - 180 * x, 30 + 100 * y + 60 * np.sin(5 * x)]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def png_of(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG assembled by hand, for variants that Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _sixteen_bit_png() -> bytes:
    pixels = (np.asarray(scene()).astype(np.uint16) * 257).astype(">u2")
    return png_of(*SIZE, 16, 2, b"".join(b"\0" + row.tobytes() for row in pixels))


def _grey_line(width: int, height: int) -> bytes:
    return png_of(width, height, 8, 0, (b"\0" + bytes(width)) * height)


def _inverted_cmyk_jpeg(transform: int) -> bytes:
    """A CMYK JPEG as Adobe's programs write it, inverted, with an APP14 marker. Pillow reads transform 2 (YCCK)."""
    inks = 255 - np.asarray(scene().convert("CMYK"))
    data = encoded(Image.frombytes("CMYK", SIZE, inks.tobytes()), "JPEG", quality=95)
    adobe = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)
    return data[:2] + b"\xff\xee" + struct.pack(">H", len(adobe) + 2) + adobe + data[2:]


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = STORED_BY_ORIENTATION[orientation]
    return encoded(scene() if stored is None else scene().transpose(stored), "JPEG", quality=95, exif=exif)


def _turned_by_xmp(orientation: int, written: str) -> bytes:
    """A picture whose orientation is only in XMP, as written by editors that leave EXIF alone or omit it."""
    stored = STORED_BY_ORIENTATION[orientation]
    picture = scene() if stored is None else scene().transpose(stored)
    camera = Image.Exif()
    camera[0x0110] = "camera"
    xmp = f"<x:xmpmeta><rdf:Description {written.format(orientation)}</rdf:Description></x:xmpmeta>"
    return encoded(picture, "JPEG", quality=95, xmp=xmp.encode(), **({"exif": camera} if orientation == 6 else {}))


def _animation(image_format: str) -> bytes:
    others = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    return encoded(scene(), image_format, save_all=True, append_images=others, duration=50)


def _jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(encoded(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


_XMP_FORMS = {
    "attribute": 'tiff:Orientation="{}">',
    "element": "><tiff:Orientation>{}</tiff:Orientation>",
}
_JPEG = encoded(scene(), "JPEG", quality=95)
_PNG = encoded(scene())

ODD: dict[str, Odd] = {
    "jpeg": Odd(_JPEG),
    "progressive jpeg": Odd(encoded(scene(), "JPEG", quality=95, progressive=True)),
    "jpeg with restart markers": Odd(encoded(scene(), "JPEG", quality=95, restart_marker_rows=1)),
    "jpeg without chroma subsampling": Odd(encoded(scene(), "JPEG", quality=95, subsampling=0)),
    "jpeg and trailing garbage": Odd(_JPEG + b"garbage" * 50),
    "png and trailing garbage": Odd(_PNG + b"garbage" * 50),
    "jpeg with icc profile": Odd(encoded(scene(), "JPEG", quality=95, icc_profile=b"not a profile" * 20)),
    "grey jpeg": Odd(encoded(scene().convert("L"), "JPEG"), looks_like_the_scene=False),
    "cmyk jpeg": Odd(encoded(scene().convert("CMYK"), "JPEG", quality=95)),
    "png named jpg": Odd(_PNG),
    "grey png": Odd(encoded(scene().convert("L")), looks_like_the_scene=False),
    "grey png with alpha": Odd(encoded(scene().convert("LA")), looks_like_the_scene=False),
    "palette png": Odd(encoded(scene().quantize(256))),
    "palette gif": Odd(encoded(scene().quantize(256), "GIF")),
    "rgba png": Odd(encoded(scene().convert("RGBA"))),
    "one-bit png": Odd(encoded(scene().convert("1")), looks_like_the_scene=False),
    "sixteen-bit png": Odd(_sixteen_bit_png()),
    "sixteen-bit grey png": Odd(
        encoded(Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) * 257)), looks_like_the_scene=False
    ),
    "interlaced-looking bmp": Odd(encoded(scene(), "BMP")),
    "lossless webp": Odd(encoded(scene(), "WEBP", lossless=True)),
    "tiff": Odd(encoded(scene(), "TIFF", compression="tiff_lzw")),
    "animated gif": Odd(_animation("GIF")),
    "animated webp": Odd(_animation("WEBP")),
    "animated png": Odd(_animation("PNG")),
    "one pixel": Odd(encoded(Image.new("RGB", (1, 1), "red"), "JPEG"), (1, 1), looks_like_the_scene=False),
    "a line": Odd(encoded(scene().resize((4000, 1)), "JPEG"), (4000, 1), looks_like_the_scene=False),
    "a column": Odd(encoded(scene().resize((1, 4000))), (1, 4000), looks_like_the_scene=False),
    "a long line": Odd(encoded(Image.new("RGB", (40_000, 1)), "JPEG"), (40_000, 1), looks_like_the_scene=False),
    "a long column": Odd(encoded(Image.new("RGB", (1, 40_000)), "JPEG"), (1, 40_000), looks_like_the_scene=False),
    "a line of millions": Odd(_grey_line(5_000_000, 1), (5_000_000, 1), looks_like_the_scene=False),
    "a column of millions": Odd(_grey_line(1, 2_000_000), (1, 2_000_000), looks_like_the_scene=False),
    "adobe cmyk jpeg": Odd(_inverted_cmyk_jpeg(0), looks_like_the_scene=False),
    "adobe ycck jpeg": Odd(_inverted_cmyk_jpeg(2), looks_like_the_scene=False),
    **{
        f"xmp orientation {orientation} as an {form}": Odd(_turned_by_xmp(orientation, written))
        for orientation in (1, 3, 6)
        for form, written in _XMP_FORMS.items()
    },
    **{f"exif orientation {orientation}": Odd(_turned(orientation)) for orientation in STORED_BY_ORIENTATION},
}

BROKEN: dict[str, tuple[bytes, BrokenKind]] = {
    "zero bytes": (b"", BrokenKind.EMPTY),
    "a web page": (b"<!DOCTYPE html><title>404</title>", BrokenKind.UNKNOWN_FORMAT),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', BrokenKind.UNKNOWN_FORMAT),
    "zeros": (bytes(5000), BrokenKind.UNKNOWN_FORMAT),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", BrokenKind.UNKNOWN_FORMAT),
    "pdf named jpg": (b"%PDF-1.7\n" + bytes(100), BrokenKind.UNKNOWN_FORMAT),
    "three bytes of a jpeg": (_JPEG[:3], BrokenKind.TRUNCATED),
    "four bytes of a png": (_PNG[:4], BrokenKind.TRUNCATED),
    "half a jpeg": (_JPEG[: len(_JPEG) // 2], BrokenKind.TRUNCATED),
    "half a progressive jpeg": (
        (whole := encoded(scene((200, 200)), "JPEG", progressive=True))[: len(whole) // 2],
        BrokenKind.TRUNCATED,
    ),
    "half a png": (_PNG[: len(_PNG) // 2], BrokenKind.TRUNCATED),
    "half a gif": ((whole := encoded(scene(), "GIF"))[: len(whole) // 2], BrokenKind.TRUNCATED),
    "half a webp": ((whole := encoded(scene(), "WEBP"))[: len(whole) // 2], BrokenKind.TRUNCATED),
    "half a bmp": ((whole := encoded(scene(), "BMP"))[: len(whole) // 2], BrokenKind.TRUNCATED),
    "half a tiff": ((whole := encoded(scene(), "TIFF"))[: len(whole) // 2], BrokenKind.TRUNCATED),
    "a png with a damaged header": (_PNG[:20] + b"\xff" * 4 + _PNG[24:], BrokenKind.DAMAGED),
    "a png with damaged pixels": (_PNG[:60] + b"\xff" * 40 + _PNG[100:], BrokenKind.DAMAGED),
    "a png bomb": (png_of(60_000, 60_000, 8, 2, b""), BrokenKind.TOO_LARGE),
    "a png just beyond the limit": (png_of(10_001, 10_000, 8, 2, b""), BrokenKind.TOO_LARGE),
    "a jpeg bomb": (_jpeg_of_size(65_000, 65_000), BrokenKind.TOO_LARGE),
    "32-bit floats": (encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), BrokenKind.UNSUPPORTED),
    "32-bit integers": (encoded(Image.fromarray(np.ones((4, 4), np.int32)), "TIFF"), BrokenKind.UNSUPPORTED),
}
