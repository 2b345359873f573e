"""PNG files with megabytes of text or color profile are readable."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from workers.data.images.decode import BrokenImage, decode_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
LONG = "x" * (2 << 20)


def png(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG", **options)
    return stream.getvalue()


def texts(*, packed: bool = False, international: bool = False, times: int = 1) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for number in range(times):
        if international:
            info.add_itxt(f"Comment {number}", LONG, zip=packed)
        else:
            info.add_text(f"Comment {number}", LONG, zip=packed)
    return info


@pytest.mark.parametrize(
    "options",
    [
        {"pnginfo": texts()},
        {"pnginfo": texts(packed=True)},
        {"pnginfo": texts(packed=True, international=True)},
        {"pnginfo": texts(international=True)},
        {"pnginfo": texts(times=40)},
        {"icc_profile": bytes(3 << 20)},
        {"icc_profile": bytes(3 << 20), "pnginfo": texts(packed=True)},
    ],
)
def test_the_picture_is_read_whatever_is_told_beside_it(options: dict[str, object]) -> None:
    assert np.array_equal(np.asarray(decode_rgb(png(**options))), PIXELS)


def test_it_is_still_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode_rgb(png(exif=exif, pnginfo=texts(packed=True)))
    assert np.array_equal(np.asarray(upright), np.rot90(PIXELS, -1))


def test_a_text_behind_the_picture_does_not_matter_either() -> None:
    data = png()
    body = b"zTXtComment\0\0" + zlib.compress(LONG.encode())
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert np.array_equal(np.asarray(decode_rgb(data[:-12] + chunk + data[-12:])), PIXELS)


def test_one_that_breaks_off_is_broken() -> None:
    with pytest.raises(BrokenImage):
        decode_rgb(png(pnginfo=texts(packed=True))[:-40])
