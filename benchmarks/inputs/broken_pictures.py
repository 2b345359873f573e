"""Bytes that are not a whole picture. Each must be reported with its kind; none may crash a process or fill memory."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.inputs.expectations import Broken, Decodes, PictureInput
from benchmarks.inputs.made_pictures import encoded, scene

_KIND = "broken pictures"
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
_NO_PICTURES = {
    "a web page": b"<!DOCTYPE html><html><title>404 Not Found</title></html>",
    "an svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "a git lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    "a pdf": b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n" + bytes(200),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "a json error": b'{"error": {"code": 403, "message": "quota"}}',
    "an mp4 film": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + bytes(500),
    "a zip": b"PK\x03\x04\x14\0\0\0\0\0" + bytes(100),
    "zeros": bytes(4096),
    "spaces": b" " * 4096,
    "an appledouble file": b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(100),
    "one byte": b"\xff",
    "text": "Ünïcode".encode("utf-16"),
}


def inputs() -> Iterator[PictureInput]:
    """Yields all inputs of this module."""
    yield PictureInput("zero bytes", _KIND, bytes, (Broken(("empty",)),))
    unknown = (Broken(("unknown_format", "damaged", "truncated", "unsupported")),)
    for name, data in _NO_PICTURES.items():
        yield PictureInput(name, _KIND, partial(bytes, data), unknown)
    cut = Broken(("truncated", "damaged"))
    for image_format in _FORMATS:
        for share in (0.02, 0.5, 0.98):
            # In some formats the last bytes are irrelevant; a picture that Pillow reads without them may be accepted.
            expected = (cut, Broken(("unknown_format",)), Decodes()) if share != 0.5 else (cut, Decodes())
            yield PictureInput(
                f"{share:.0%} of a {image_format}", _KIND, partial(_first, image_format, share), expected
            )
        yield PictureInput(
            f"{image_format} with a hole of zeros",
            _KIND,
            partial(_hole, image_format),
            (Broken(("damaged", "truncated", "unknown_format", "too_large")), Decodes()),
        )
    large = (Broken(("too_large",)),)
    for name, make in _BOMBS.items():
        yield PictureInput(name, "picture bombs", make, large, most_mib=500)


def _first(image_format: str, share: float) -> bytes:
    data = encoded(scene(0, (200, 150)), image_format)
    return data[: max(2, int(len(data) * share))]


def _hole(image_format: str) -> bytes:
    data = encoded(scene(0, (200, 150)), image_format)
    middle = len(data) // 2
    return data[:middle] + bytes(400) + data[middle + 400 :]


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    chunks = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _png_bomb(side: int) -> bytes:
    packer = zlib.compressobj(9)
    line = bytes(1 + side * 4)
    return _png(side, side, 8, 6, b"".join(packer.compress(line) for _ in range(200)) + packer.flush())


def _gif_bomb() -> bytes:
    data = bytearray(encoded(scene(), "GIF"))
    data[6:10] = struct.pack("<HH", 65535, 65535)
    return bytes(data)


def _jpeg_bomb() -> bytes:
    data = bytearray(encoded(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def _bmp_bomb() -> bytes:
    data = bytearray(encoded(scene(), "BMP"))
    data[18:26] = struct.pack("<ii", 100_000, 100_000)
    return bytes(data)


def _webp_bomb() -> bytes:
    # The extended header claims a canvas of 16383 x 16383, which is empty.
    canvas = (16382).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + canvas + encoded(scene(), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _ppm_bomb() -> bytes:
    return b"P6\n100000 100000\n255\n" + bytes(1000)


_BOMBS: dict[str, Callable[[], bytes]] = {
    "a png of 60,000 x 60,000": partial(_png_bomb, 60_000),
    "a png of 10,001 x 10,001 rgba": partial(_png_bomb, 10_001),
    "a gif of 65,535 x 65,535": _gif_bomb,
    "a jpeg of 65,500 x 65,500": _jpeg_bomb,
    "a bmp of 100,000 x 100,000": _bmp_bomb,
    "a webp canvas of 16,383 x 16,383": _webp_bomb,
    "a ppm of 100,000 x 100,000": _ppm_bomb,
}
