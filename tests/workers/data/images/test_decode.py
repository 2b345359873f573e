"""Every kind of picture becomes upright RGB, or a BrokenImage with a reason."""

import contextlib
import io
import struct
import warnings
import zlib
from typing import cast

import numpy as np
import pytest
from PIL import Image

from tests.support.bad_images import STORED_BY_ORIENTATION
from workers.data.images.decode import BrokenImage, content_hash, decode_rgb
from workers.specs.hygiene import BrokenKind

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def noise(mode: str, size: tuple[int, int] = (12, 8)) -> Image.Image:
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    values = np.random.default_rng(3).integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    return Image.fromarray(values, mode=None) if mode not in ("CMYK", "LA") else Image.frombytes(mode, size, values)


def png_header_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size, like a decompression bomb."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_an_rgb_picture_keeps_its_pixels(image_format: str) -> None:
    picture = noise("RGB")
    options = {"lossless": True} if image_format == "WEBP" else {}
    decoded = decode_rgb(encoded(picture, image_format, **options))
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), np.asarray(picture))


def test_grey_is_repeated_in_all_channels() -> None:
    picture = noise("L")
    decoded = np.asarray(decode_rgb(encoded(picture)))
    assert all(np.array_equal(decoded[..., channel], np.asarray(picture)) for channel in range(3))


def test_a_palette_picture_gets_its_colours() -> None:
    picture = Image.new("RGB", (4, 4), RED).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decode_rgb(encoded(picture)).getpixel((1, 1)) == RED


def test_a_transparent_palette_picture_keeps_its_colours() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    decoded = decode_rgb(encoded(picture, transparency=bytes([0, 255])))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [RED, BLUE]


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_is_dropped_as_pillow_drops_it(alpha: int) -> None:
    decoded = decode_rgb(encoded(Image.new("RGBA", (3, 3), (200, 100, 40, alpha))))
    assert decoded.mode == "RGB"
    assert decoded.getpixel((1, 1)) == (200, 100, 40)
    assert decode_rgb(encoded(Image.new("LA", (3, 3), (200, alpha)))).getpixel((1, 1)) == (200, 200, 200)


def test_cmyk_jpeg_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = np.asarray(decode_rgb(encoded(cyan, "JPEG", quality=95)))[8, 8]
    assert red < 20
    assert green > 235
    assert blue > 235


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(image_format: str) -> None:
    values = np.array([[0, 257, 128 * 257, 65535, 128 * 257 + 200]], dtype=np.uint16)
    decoded = np.asarray(decode_rgb(encoded(Image.fromarray(values), image_format)))
    assert decoded[0, :, 0].tolist() == [0, 1, 128, 255, 129]


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_grey_of_twelve_bits_in_sixteen_is_told_by_its_brightest_pixel(image_format: str) -> None:
    values = np.array([[0, 2048, 4095]], dtype=np.uint16)
    assert np.asarray(decode_rgb(encoded(Image.fromarray(values), image_format)))[0, :, 0].tolist() == [0, 128, 255]
    black = np.zeros((2, 2), dtype=np.uint16)
    assert decode_rgb(encoded(Image.fromarray(black), image_format)).getextrema() == ((0, 0),) * 3


def test_grey_of_twelve_bits_by_the_files_own_word_is_scaled() -> None:
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 0, 0x800, 0xfff, 0x010
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 6)]
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    data = b"II*\0" + struct.pack("<I", 16) + packed + bytes(2) + struct.pack("<H", len(entries)) + directory + bytes(4)
    assert np.asarray(decode_rgb(data))[0, :, 0].tolist() == [0, 128, 255, 1]


@pytest.mark.parametrize("most", [1000, 4095, 65535])
def test_a_pgm_of_more_than_a_byte_is_scaled_by_its_own_white(most: int) -> None:
    values = np.array([0, most // 2, most], dtype=">u2").tobytes()
    decoded = np.asarray(decode_rgb(f"P5 3 1 {most}\n".encode() + values))
    assert np.abs(decoded[0, :, 0].astype(int) - [0, 127, 255]).max() <= 1


def test_a_jpeg_of_twelve_bits_is_called_so() -> None:
    data = bytearray(encoded(noise("RGB"), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(BrokenImage, match="12 bits") as caught:
        decode_rgb(bytes(data))
    assert caught.value.kind is BrokenKind.UNSUPPORTED


def test_pixels_without_a_defined_range_are_refused() -> None:
    picture = Image.fromarray(np.ones((4, 4), dtype=np.float32))
    with pytest.raises(BrokenImage, match="mode F"):
        decode_rgb(encoded(picture, "TIFF"))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(image_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    assert np.allclose(np.asarray(decode_rgb(data))[4, 4], RED, atol=2)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(image_format: str, orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), BLUE)
    upright.paste(RED, (0, 0, 24, 16))
    held = STORED_BY_ORIENTATION[orientation]
    stored = upright if held is None else upright.transpose(held)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_rgb(encoded(stored, image_format, exif=exif))
    assert decoded.size == (48, 32)
    assert np.allclose(np.asarray(decoded)[6, 6], RED, atol=40)
    assert np.allclose(np.asarray(decoded)[26, 40], BLUE, atol=40)


def test_a_damaged_exif_block_does_not_spoil_the_picture() -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x00garbage")
    assert decode_rgb(data).size == (8, 8)


def test_zero_bytes_are_broken() -> None:
    with pytest.raises(BrokenImage, match="no bytes"):
        decode_rgb(b"")


@pytest.mark.parametrize("data", [b"\x00" * 100, b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenImage, match="not a picture of a known format"):
        decode_rgb(data)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_picture_is_broken(image_format: str, kept: float) -> None:
    data = encoded(noise("RGB", (64, 64)), image_format)
    with pytest.raises(BrokenImage) as caught:
        decode_rgb(data[: int(len(data) * kept)])
    assert 0 < len(caught.value.reason) <= 160


def test_damaged_bytes_never_raise_anything_else() -> None:
    draws = np.random.default_rng(0)
    good = [encoded(noise("RGB", (32, 32)), image_format) for image_format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")]
    for trial in range(400):
        data = bytearray(good[trial % len(good)])
        for place in draws.integers(0, len(data), 6):
            data[place] = draws.integers(0, 256)
        with contextlib.suppress(BrokenImage):
            assert decode_rgb(bytes(data)).mode == "RGB"


@pytest.mark.parametrize("side", [10_001, 12_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(BrokenImage, match="pixels"):
        decode_rgb(png_header_of(side, side))


def test_no_warning_leaks() -> None:
    bomb_like = png_header_of(9_999, 9_999)
    damaged_exif = encoded(Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x09\x00")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(BrokenImage):
            decode_rgb(bomb_like)
        decode_rgb(damaged_exif)
    assert [str(item.message) for item in caught] == []


def test_equal_bytes_have_equal_hashes_of_sixteen_bytes() -> None:
    assert content_hash(b"picture") == content_hash(cast(bytes, bytearray(b"picture")))
    assert content_hash(b"picture") != content_hash(b"Picture")
    assert len(content_hash(b"")) == 16
