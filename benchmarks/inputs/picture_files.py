"""Pictures as programs write them: every mode, format and option that Pillow and OpenCV can write."""

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from PIL import Image

from benchmarks.inputs.expectations import PictureInput
from benchmarks.inputs.made_pictures import SIZE, detailed, encoded, scene

_KIND = "pictures"
_WRITTEN: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg quality 10": ("JPEG", {"quality": 10}),
    "jpeg quality 100 4:4:4": ("JPEG", {"quality": 100, "subsampling": 0}),
    "jpeg 4:2:2": ("JPEG", {"quality": 90, "subsampling": 1}),
    "jpeg 4:2:0 progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "jpeg optimised": ("JPEG", {"quality": 90, "optimize": True}),
    "jpeg with restart markers": ("JPEG", {"quality": 90, "restart_marker_blocks": 2}),
    "jpeg with a comment": ("JPEG", {"quality": 90, "comment": b"made by hand \xe9"}),
    "jpeg kept as rgb": ("JPEG", {"quality": 90, "keep_rgb": True}),
    "png uncompressed": ("PNG", {"compress_level": 0}),
    "png optimised": ("PNG", {"optimize": True}),
    "webp lossy": ("WEBP", {"quality": 80}),
    "webp lossless": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff raw": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff packbits": ("TIFF", {"compression": "packbits"}),
    "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
    "tiff zstd": ("TIFF", {"compression": "zstd"}),
    "tiff with big offsets": ("TIFF", {"big_tiff": True}),
    "avif": ("AVIF", {"quality": 85}),
    "avif 4:4:4": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    "jpeg 2000": ("JPEG2000", {}),
    "jpeg 2000 codestream": ("JPEG2000", {"no_jp2": True}),
    "ppm": ("PPM", {}),
}
_MODES: dict[str, tuple[str, ...]] = {
    "1": ("PNG", "TIFF", "BMP", "PPM"),
    "L": ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"),
    "LA": ("PNG", "WEBP", "TIFF", "JPEG2000"),
    "P": ("PNG", "GIF", "BMP", "TIFF"),
    "RGBA": ("PNG", "WEBP", "TIFF", "JPEG2000", "AVIF", "BMP"),
    "CMYK": ("JPEG", "TIFF"),
    "YCbCr": ("JPEG", "TIFF"),
    "LAB": ("TIFF",),
}


def inputs() -> Iterator[PictureInput]:
    """Yields all inputs of this module."""
    for name, (image_format, options) in _WRITTEN.items():
        yield PictureInput(name, _KIND, partial(encoded, scene(), image_format, **options))
    for mode, formats in _MODES.items():
        for image_format in formats:
            yield PictureInput(f"{image_format} of mode {mode}", _KIND, partial(_in_mode, mode, image_format))
    for image_format in ("PNG", "WEBP", "TIFF"):
        make = partial(_half_transparent, image_format)
        yield PictureInput(f"{image_format} half transparent", _KIND, make)
    yield PictureInput("palette png with a transparent colour", _KIND, _transparent_palette)
    yield PictureInput("gif with a transparent colour", _KIND, _transparent_gif)
    yield PictureInput("grey png with a transparent value", _KIND, _transparent_grey)
    for image_format in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        yield PictureInput(f"animated {image_format}", _KIND, partial(_animation, image_format))
    yield PictureInput("mpo of two pictures", _KIND, partial(_animation, "MPO"))
    for bits in (2, 4, 16, 64):
        yield PictureInput(f"palette png of {bits} colours", _KIND, partial(_few_colours, bits))
    yield from _by_opencv()
    for size in ((1, 1), (1, 2000), (2000, 1), (3, 2), (7, 9), (8, 8), (17, 5)):
        for image_format in ("JPEG", "PNG"):
            picture = detailed(size, seed=size[0])
            yield PictureInput(f"{image_format} of {size[0]}x{size[1]}", _KIND, partial(encoded, picture, image_format))


def _by_opencv() -> Iterator[PictureInput]:
    for suffix in (".jpg", ".png", ".bmp", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".avif"):
        yield PictureInput(f"{suffix} by OpenCV", _KIND, partial(_by_cv, suffix, np.uint8, 1))


def _in_mode(mode: str, image_format: str) -> bytes:
    picture = scene().quantize(200) if mode == "P" else scene().convert(mode) if mode != "LAB" else _lab()
    return encoded(picture, image_format)


def _lab() -> Image.Image:
    from PIL import ImageCms

    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(scene(), srgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


def _half_transparent(image_format: str) -> bytes:
    picture = scene().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(SIZE))
    options = {"lossless": True, "exact": True} if image_format == "WEBP" else {}
    return encoded(picture, image_format, **options)


def _transparent_palette() -> bytes:
    return encoded(scene().quantize(16), "PNG", transparency=3)


def _transparent_gif() -> bytes:
    return encoded(scene().quantize(16), "GIF", transparency=3)


def _transparent_grey() -> bytes:
    return encoded(scene().convert("L"), "PNG", transparency=128)


def _animation(image_format: str) -> bytes:
    others = [scene(5), scene(9)]
    return encoded(scene(), image_format, save_all=True, append_images=others)


def _few_colours(colours: int) -> bytes:
    return encoded(scene().quantize(colours), "PNG", bits={2: 1, 4: 2, 16: 4, 64: 8}[colours])


def _by_cv(suffix: str, dtype: type, factor: int) -> bytes:
    pixels = np.asarray(scene())[..., ::-1].astype(dtype) * dtype(factor)
    done, buffer = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if suffix == ".pgm" else pixels)
    assert done, suffix
    return buffer.tobytes()
