"""Pictures that inputs are made of: the same number is always the same picture, byte for byte."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageOps

SIZE = (48, 32)


def scene(number: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth picture without symmetry, so that a turn, a shift or a wrong colour shows; RGB."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    phase = number * 0.7
    channels = [40 + 200 * x * y, 128 + 100 * np.cos(3 * x + phase), 30 + 100 * y + 60 * np.sin(5 * x + 2 * phase)]
    picture = Image.fromarray(np.stack(channels, axis=2).clip(0, 255).astype(np.uint8))
    picture.putpixel((0, 0), (number % 256, number // 256, 7))
    return picture


def detailed(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Coarse noise over a smooth picture: a box that is off by a part of a pixel shows after scaling."""
    draws = np.random.default_rng(seed)
    small = draws.integers(0, 256, (-(-size[1] // 6), -(-size[0] // 6), 3), dtype=np.uint8)
    return (
        Image.fromarray(small)
        .resize((small.shape[1] * 6, small.shape[0] * 6), Image.Resampling.BICUBIC)
        .crop((0, 0, *size))
    )


def encoded(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """As Pillow writes it."""
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


@lru_cache(maxsize=4096)
def photo(number: int, image_format: str = "JPEG") -> bytes:
    """A small picture of that number in a format of Pillow's."""
    options = {"quality": 92} if image_format in ("JPEG", "WEBP", "AVIF") else {}
    return encoded(scene(number), image_format, **options)


def photos(count: int, first: int = 0, image_format: str = "JPEG") -> tuple[bytes, ...]:
    """Pictures of neighbouring numbers."""
    return tuple(photo(first + place, image_format) for place in range(count))


def as_pillow(data: bytes) -> Image.Image:
    """What everybody else sees: upright, RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
