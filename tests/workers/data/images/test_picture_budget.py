"""A decompression bomb is rejected before decoding starts, and decoding takes bounded memory."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.as_pillow import encoded, segment, with_segments
from tests.support.bad_images import scene
from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.images import decode as images
from workers.data.images.decode import BrokenImage, decode_rgb
from workers.data.images.perceptual_hash import encoded_thumbnail
from workers.data.images.plain_jpeg import plain_jpeg
from workers.models.clean_batches import clean_picture
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import ModelCard

CARD = ModelCard(
    model="m", classes=("a",), image_size=24, mean=(0.5,) * 3, std=(0.5,) * 3, crop="center",
    parameters=1, run_id="r", generation=0, validation_top1=0.0,
)  # fmt: skip


def flat_png(width: int, height: int, layers: int) -> bytes:
    """A real picture of a single color, assembled without ever being in memory."""
    colour = {3: 2, 4: 6}[layers]
    packer, row = zlib.compressobj(9), b"\0" + b"\x80" * (layers * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def claiming(data: bytes, place: int, form: str, *values: int) -> bytes:
    """The file with another size in its header."""
    changed = bytearray(data)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


def jpeg_claiming(width: int, height: int, **options: object) -> bytes:
    data = encoded(scene(), "JPEG", **options)
    marker = b"\xff\xc2" if options.get("progressive") else b"\xff\xc0"
    return claiming(data, data.index(marker) + 5, ">HH", height, width)


def webp_claiming(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_of_one_tile(side: int) -> bytes:
    entries = [
        (256, 16),
        (257, 16),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, side),
        (323, side),
        (324, 8),
        (325, 8),
    ]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return (
        b"II*\0"
        + struct.pack("<I", 16)
        + zlib.compress(b"")[:8].ljust(8)
        + struct.pack("<H", 10)
        + directory
        + bytes(4)
    )


BOMBS = {
    "a PNG of 100 megapixels": flat_png(10_000, 10_000, 4),
    "a JPEG": jpeg_claiming(20_000, 20_000),
    "a progressive JPEG": jpeg_claiming(9_000, 9_000, progressive=True, subsampling=0),
    "a turned JPEG": with_segments(
        jpeg_claiming(9_000, 9_000), segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0")
    ),
    "a WebP": webp_claiming(16_383, 16_383),
    "a WebP below the JPEG's limit": encoded(Image.new("L", (9_000, 9_000)), "WEBP", lossless=True, method=0),
    "a GIF": claiming(encoded(scene(), "GIF"), 6, "<HH", 65_535, 65_535),
    "a BMP": claiming(encoded(scene(), "BMP"), 18, "<ii", 60_000, 60_000),
    "a TIFF": encoded(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4"),
    "a TIFF of one tile": tiff_of_one_tile(60_000),
    "a PPM": b"P6 60000 60000 255\n" + bytes(99),
    "a JPEG 2000": encoded(Image.new("L", (5_000, 5_000)), "JPEG2000"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_too_large_on_every_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it is being decoded"))
    for decode in (decode_rgb, encoded_thumbnail):
        with pytest.raises(BrokenImage, match="pixels") as caught:
            decode(BOMBS[name])
        assert caught.value.kind is BrokenKind.TOO_LARGE
    broken = clean_picture(BOMBS[name], CARD)
    assert isinstance(broken, BrokenImage)
    assert broken.kind is BrokenKind.TOO_LARGE


def test_a_file_of_gigabytes_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 3 << 30

    data = Huge(encoded(scene(), "JPEG"))
    assert plain_jpeg(data) is None
    with pytest.raises(BrokenImage, match="3072 MiB") as caught:
        decode_rgb(data)
    assert caught.value.kind is BrokenKind.TOO_LARGE
    assert len(data) > MOST_IMAGE_BYTES


_PEAKS = """
import re, sys
from pathlib import Path
from workers.models.clean_batches import CleanPicture, clean_picture
from workers.specs.model_card import ModelCard

card = ModelCard.model_validate_json(sys.argv[1])

def peak_of(picture):  # of this process alone; getrusage() counts what the one before it took
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    assert isinstance(clean_picture(Path(picture).read_bytes(), card), CleanPicture), picture
    return (peak() - before) >> 10

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

peak_of(sys.argv[2])  # what is imported by the first
print(*[peak_of(picture) for picture in sys.argv[2:]])
"""


def plane(width: int, height: int, mode: str = "L") -> Image.Image:
    return Image.new(mode, (width, height), 128 if mode == "L" else (128, 90, 7))


LARGEST: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: flat_png(7_000, 7_000, 4),
    "JPEG": lambda: encoded(plane(9_900, 9_900), "JPEG"),
    "progressive JPEG": lambda: encoded(plane(6_300, 6_300, "RGB"), "JPEG", progressive=True, subsampling=0),
    "WebP": lambda: encoded(plane(4_900, 4_900, "RGB"), "WEBP", lossless=True, method=0),
    "TIFF": lambda: encoded(plane(7_000, 7_000, "RGB"), "TIFF", compression="tiff_lzw"),
}


def test_the_largest_that_are_decoded_take_a_bounded_memory(tmp_path: Path) -> None:
    for name, made in LARGEST.items():
        (tmp_path / name).write_bytes(made())
    command = [sys.executable, "-c", _PEAKS, CARD.model_dump_json(), *(str(tmp_path / name) for name in LARGEST)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=200)
    mebibytes = dict(zip(LARGEST, map(int, done.stdout.split()), strict=True))
    assert max(mebibytes.values()) < 500, mebibytes
    assert mebibytes["PNG"] > 300, "it was decoded, and measured"


def test_the_large_and_the_small_way_decode_a_jpeg_to_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(scene((300, 201)), "JPEG")
    small = np.asarray(decode_rgb(data))
    monkeypatch.setattr(images, "_LARGE", 0)
    assert np.array_equal(np.asarray(decode_rgb(data)), small)
    assert Image.open(io.BytesIO(data)).size == (300, 201)
