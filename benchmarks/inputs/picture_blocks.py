"""JPEG, PNG, WebP and TIFF files with metadata: orientation in odd places, color profiles, long texts."""

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image, ImageCms, PngImagePlugin

from benchmarks.inputs.expectations import Broken, Decodes, PictureInput
from benchmarks.inputs.made_pictures import encoded, scene

_KIND = "picture blocks"
_ORIENTATION = 0x0112
_BLOCK = 65_000
"""How many bytes to put into one JPEG segment, which can hold 65,533."""
_THE_SCENE = (Decodes(lambda _: scene()),)
"""Expected for intact pictures that Pillow by default refuses because of a text of over a megabyte."""


def inputs() -> Iterator[PictureInput]:
    """Yields all inputs of this module."""
    for orientation in (*range(1, 9), 0, 9, 65535):
        for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
            if orientation <= 8 or image_format == "JPEG":
                make = partial(_turned, image_format, orientation)
                yield PictureInput(f"{image_format} with orientation {orientation}", "orientation", make)
    for orientation in (3, 6, 8):
        for name, before in _BEFORE_EXIF.items():
            make = partial(_exif_behind, before, orientation)
            yield PictureInput(f"orientation {orientation} behind {name}", "orientation", make)
    for size_kib in (0, 70, 300, 600):
        for form in _XMP_FORMS:
            make = partial(_xmp_behind, size_kib << 10, form, 6)
            yield PictureInput(f"xmp {form} orientation behind {size_kib} KiB", "orientation", make)
    for orientation in (3, 6):
        yield PictureInput(f"xmp in a png, orientation {orientation}", "orientation", partial(_xmp_png, orientation))
    yield PictureInput("big-endian exif", "orientation", partial(_hand_made_exif, "MM", 6, 3))
    yield PictureInput("orientation as a long", "orientation", partial(_hand_made_exif, "II", 6, 4))
    yield PictureInput("orientation as a byte", "orientation", partial(_hand_made_exif, "II", 6, 1))
    yield PictureInput("exif that breaks off", "orientation", _broken_exif)
    yield PictureInput("two exif blocks", "orientation", _two_exif_blocks)
    yield PictureInput("a thumbnail with another orientation", "orientation", _thumbnail_turned)
    yield PictureInput("exif and xmp that disagree", "orientation", _exif_against_xmp)
    yield from _with_profiles()
    for megabytes in (0, 2, 5):
        for chunk in ("tEXt", "zTXt", "iTXt"):
            make = partial(_png_text, chunk, (megabytes << 20) + 100)
            yield PictureInput(f"png with {megabytes} MB of {chunk}", _KIND, make, _THE_SCENE)
    yield PictureInput("jpeg and half a megabyte behind its end", _KIND, _trailing)
    yield PictureInput("jpeg with fill bytes before its markers", _KIND, _fill_bytes)
    yield PictureInput("jpeg without its end", _KIND, _no_end, (Broken(("truncated",)), Decodes()))


def _with_profiles() -> Iterator[PictureInput]:
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        for name, profile in _PROFILES.items():
            make = partial(encoded, scene(), image_format, icc_profile=profile)
            lossy = image_format in ("JPEG", "WEBP")
            yield PictureInput(
                f"{image_format} with {name} profile", _KIND, make, (Decodes(),) if lossy else _THE_SCENE
            )


_PROFILES = {
    "an sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "a broken": b"no profile at all" * 10,
    "a two-megabyte": bytes(range(256)) * 8192,
}


def _app(number: int, content: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(content) + 2) + content


def _blocks(number: int, head: bytes, size: int) -> bytes:
    count = -(-size // _BLOCK)
    return b"".join(_app(number, head + bytes([place % 256]) * _BLOCK) for place in range(count))


_BEFORE_EXIF = {
    "an icc profile of 200 KiB": _blocks(2, b"ICC_PROFILE\0\x01\x04", 200 << 10),
    "photoshop data of 130 KiB": _blocks(13, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0", 130 << 10),
    "a comment of 64 KiB": b"\xff\xfe" + struct.pack(">H", 65_002) + bytes(65_000),
    "a megabyte of maker's blocks": _blocks(11, b"JP\0\0", 1 << 20),
    "a jfif head": b"",
}


def _exif_bytes(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return b"Exif\0\0" + exif.tobytes()[6:] if exif.tobytes().startswith(b"Exif") else b"Exif\0\0" + exif.tobytes()


def _turned(image_format: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return encoded(scene(), image_format, exif=exif)


def _plain() -> bytes:
    return encoded(scene(), "JPEG", quality=95)


def _with_blocks(blocks: bytes) -> bytes:
    """A JPEG with the blocks inserted directly after the JFIF segment, which Pillow writes first."""
    data = _plain()
    end = 4 + int.from_bytes(data[4:6], "big")
    return data[:end] + blocks + data[end:]


def _exif_behind(before: bytes, orientation: int) -> bytes:
    return _with_blocks(before + _app(1, _exif_bytes(orientation)))


_XMP_FORMS = {
    "attribute": '<rdf:Description tiff:Orientation="{}"/>',
    "element": "<rdf:Description><tiff:Orientation>{}</tiff:Orientation></rdf:Description>",
    "apostrophes": "<rdf:Description tiff:Orientation='{}'/>",
}


def _xmp(form: str, orientation: int) -> bytes:
    inner = _XMP_FORMS[form].format(orientation)
    head = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    return f"{head}{inner}</rdf:RDF></x:xmpmeta>".encode()


def _xmp_behind(before: int, form: str, orientation: int) -> bytes:
    block = _app(1, b"http://ns.adobe.com/xap/1.0/\0" + _xmp(form, orientation))
    return _with_blocks((_blocks(11, b"JP\0\0", before) if before else b"") + block)


def _xmp_png(orientation: int) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", _xmp("attribute", orientation).decode())
    return encoded(scene(), "PNG", pnginfo=texts)


def _hand_made_exif(order: str, orientation: int, kind: int) -> bytes:
    ends = ">" if order == "MM" else "<"
    value = {1: "BBBB", 3: "HH", 4: "I"}[kind]
    fields = struct.pack(f"{ends}{value}", orientation, *[0] * (len(value) - 1))
    tiff = order.encode() + struct.pack(f"{ends}HIHHHI", 42, 8, 1, _ORIENTATION, kind, 1) + fields + bytes(4)
    return _with_blocks(_app(1, b"Exif\0\0" + tiff))


def _broken_exif() -> bytes:
    return _with_blocks(_app(1, b"Exif\0\0II*\0\x08\0\0\0\xff\x00"))


def _two_exif_blocks() -> bytes:
    return _with_blocks(_app(1, _exif_bytes(1)) + _app(1, _exif_bytes(6)))


def _thumbnail_turned() -> bytes:
    small = _exif_behind(b"", 3)[:3000]
    return _with_blocks(_app(1, _exif_bytes(6) + small))


def _exif_against_xmp() -> bytes:
    xmp = _app(1, b"http://ns.adobe.com/xap/1.0/\0" + _xmp("attribute", 8))
    return _with_blocks(_app(1, _exif_bytes(6)) + xmp)


def _png_text(chunk: str, size: int) -> bytes:
    # Assembled by hand, because Pillow's writer refuses what its reader refuses.
    text = (b"a long story " * (size // 13 + 1))[:size]
    body = {
        "tEXt": b"Comment\0" + text,
        "zTXt": b"Comment\0\0" + zlib.compress(text),
        "iTXt": b"Comment\0\x01\0\0\0" + zlib.compress(text),
    }[chunk]
    kind, data = chunk.encode(), encoded(scene())
    part = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + part + data[33:]


def _trailing() -> bytes:
    return _plain() + b"\0" * (512 << 10)


def _fill_bytes() -> bytes:
    return _plain().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)


def _no_end() -> bytes:
    return _plain().removesuffix(b"\xff\xd9")
