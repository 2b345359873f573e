"""Pictures of more than 8 bits per channel. Their range must be scaled to 8 bits, where Pillow's convert() clips it."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.inputs.expectations import Accepted, Broken, DatasetInput, Decodes, PictureInput, Refused, Row
from benchmarks.inputs.made_pictures import SIZE, encoded, scene
from benchmarks.inputs.trees import tree

_KIND = "deep pictures"
Values = npt.NDArray[np.uint16]


def inputs() -> Iterator[PictureInput | DatasetInput]:
    """Yields all inputs of this module."""
    for name, make in _WHOLE_RANGE.items():
        yield PictureInput(name, _KIND, make, (Decodes(_the_scene),))
    for image_format in ("PNG", "TIFF"):
        # 12 bits stored in 16: either scaled to the whole range, or left as dark as stored.
        twelve = (Decodes(_the_scene), Decodes(lambda _: _dark_scene()))
        make = partial(_written, image_format, 16)
        yield PictureInput(f"12-bit grey in a 16-bit {image_format}", _KIND, make, twelve)
    undefined = (Broken(("unsupported",)), Decodes())
    for name, dtype in (("float", np.float32), ("int", np.int32)):
        yield PictureInput(
            f"32-bit {name} tiff", _KIND, partial(_thirty_two_bit, dtype), (Broken(("unsupported",)), Decodes())
        )
    yield PictureInput("16-bit colour png", _KIND, partial(_colour_png, 257))
    yield PictureInput("16-bit signed tiff", _KIND, partial(_signed, 100), undefined)
    for bits, factor in ((16, 257), (12, 16)):
        files = {f"{row}.png": _written("PNG", factor, row) for row in range(6)}
        rows = tuple(Row(None, content) for content in files.values())
        said = (Accepted(rows, says=("16.?bit|12.?bit|8 bit|range",)), Refused(says=("bit",)))
        yield DatasetInput(f"a pool of {bits}-bit pictures", _KIND, tree(files, role="unlabeled"), said)


def _grey(number: int = 0) -> Values:
    return np.asarray(scene(number).convert("L")).astype(np.uint16)


def _written(image_format: str, factor: int, number: int = 0) -> bytes:
    return encoded(Image.fromarray(_grey(number) * np.uint16(factor)), image_format)


def _pgm() -> bytes:
    return f"P5\n{SIZE[0]} {SIZE[1]}\n65535\n".encode() + (_grey() * np.uint16(257)).astype(">u2").tobytes()


def _pgm_of_ten_bits() -> bytes:
    values = (_grey().astype(np.uint32) * 1023 // 255).astype(">u2")
    return f"P5\n{SIZE[0]} {SIZE[1]}\n1023\n".encode() + values.tobytes()


def _big_endian_tiff() -> bytes:
    pixels = (_grey() * np.uint16(257)).astype(">u2").tobytes()
    tags = (
        (256, 3, SIZE[0]), (257, 3, SIZE[1]), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 3, SIZE[1]), (279, 4, len(pixels)),
    )  # fmt: skip
    packed_as = {kind: ">HH" if kind == 3 else ">I" for _, kind, _ in tags}
    fields = [
        struct.pack(">HHI", tag, kind, 1) + struct.pack(packed_as[kind], value, *([0] if kind == 3 else []))
        for tag, kind, value in tags
    ]
    head = b"MM\0*" + struct.pack(">I", 8 + len(pixels))
    return head + pixels + struct.pack(">H", len(tags)) + b"".join(fields) + bytes(4)


def _colour_png(factor: int) -> bytes:
    pixels = (np.asarray(scene()).astype(np.uint16) * np.uint16(factor)).astype(">u2")
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


_WHOLE_RANGE: dict[str, Callable[[], bytes]] = {
    "16-bit grey png": partial(_written, "PNG", 257),
    "16-bit grey tiff": partial(_written, "TIFF", 257),
    "16-bit grey jpeg 2000": partial(_written, "JPEG2000", 257),
    "16-bit grey pgm": _pgm,
    "10-bit grey pgm": _pgm_of_ten_bits,
    "16-bit grey tiff, big-endian": _big_endian_tiff,
}


def _signed(factor: int) -> bytes:
    return encoded(Image.fromarray((_grey().astype(np.int32) - 128) * factor), "TIFF")


def _thirty_two_bit(dtype: type) -> bytes:
    return encoded(Image.fromarray(np.asarray(scene().convert("L")).astype(dtype)), "TIFF")


def _the_scene(_data: bytes) -> Image.Image:
    return scene().convert("L").convert("RGB")


def _dark_scene() -> Image.Image:
    return Image.fromarray((_grey() * 16 // 257).astype(np.uint8)).convert("RGB")
