"""The pictures in the inputs. The same number always gives the same picture, byte for byte."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageOps

SIZE = (48, 32)


def scene(number: int = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth RGB picture without symmetry, so that a rotation, a shift or a wrong color shows."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    phase = number * 0.7
    channels = [40 + 200 * x * y, 128 + 100 * np.cos(3 * x + phase), 30 + 100 * y + 60 * np.sin(5 * x + 2 * phase)]
    picture = Image.fromarray(np.stack(channels, axis=2).clip(0, 255).astype(np.uint8))
    picture.putpixel((0, 0), (number % 256, number // 256, 7))
    return picture


def detailed(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Coarse noise over a smooth picture, so that a crop that is off by a fraction of a pixel shows after scaling."""
    draws = np.random.default_rng(seed)
    small = draws.integers(0, 256, (-(-size[1] // 6), -(-size[0] // 6), 3), dtype=np.uint8)
    return (
        Image.fromarray(small)
        .resize((small.shape[1] * 6, small.shape[0] * 6), Image.Resampling.BICUBIC)
        .crop((0, 0, *size))
    )


def encoded(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """The picture as a file, encoded by Pillow."""
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


@lru_cache(maxsize=4096)
def photo(number: int, image_format: str = "JPEG") -> bytes:
    """The small picture of that number, in any format of Pillow."""
    options = {"quality": 92} if image_format in ("JPEG", "WEBP", "AVIF") else {}
    return encoded(scene(number), image_format, **options)


def photos(count: int, first: int = 0, image_format: str = "JPEG") -> tuple[bytes, ...]:
    """Small pictures of consecutive numbers."""
    return tuple(photo(first + place, image_format) for place in range(count))


def as_pillow(data: bytes) -> Image.Image:
    """The picture as other programs show it: upright and RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
