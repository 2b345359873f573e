"""The perceptual hash survives re-encoding and resizing, and distinguishes different pictures."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes, thumbnail
from workers.data.images.plain_jpeg import decode_plain_jpeg, plain_jpeg

PHOTOGRAPHS = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]


@cache
def crops(count: int) -> list[Image.Image]:
    draws = np.random.default_rng(0)
    found = []
    for number in range(count):
        photograph = PHOTOGRAPHS[number % 2]
        width, height = draws.integers(150, 400, 2).tolist()
        left, top = draws.integers(0, photograph.width - width), draws.integers(0, photograph.height - height)
        found.append(photograph.crop((left, top, left + width, top + height)))
    return found


def perceptual_hash(pixels: np.ndarray) -> int | None:
    return perceptual_hashes([thumbnail(pixels)])[0]


def encoded(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def hash_of(picture: Image.Image) -> int:
    value = perceptual_hash(np.asarray(picture))
    assert value is not None
    return value


CHANGES = {
    "jpeg": lambda picture: encoded(picture, "JPEG", quality=30),
    "webp": lambda picture: encoded(picture, "WEBP", quality=50),
    "smaller": lambda picture: encoded(picture.resize((picture.width * 9 // 10, picture.height * 9 // 10)), "JPEG"),
    "half": lambda picture: encoded(picture.resize((picture.width // 2, picture.height // 2)), "BMP"),
    "twice": lambda picture: encoded(picture.resize((picture.width * 2, picture.height * 2)), "JPEG", quality=90),
    "cmyk": lambda picture: encoded(picture.convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_that_is_encoded_again_or_resized_keeps_nearly_all_bits(change: str) -> None:
    distances = [
        (hash_of(crop) ^ (perceptual_hashes([encoded_thumbnail(CHANGES[change](crop))])[0] or 0)).bit_count()
        for crop in crops(20)
    ]
    assert np.mean([distance <= 4 for distance in distances]) >= 0.9, distances
    assert max(distances) <= 10


def test_different_pictures_differ_in_half_of_the_bits() -> None:
    hashes = [hash_of(crop) for crop in crops(20)]
    distances = [(one ^ other).bit_count() for place, one in enumerate(hashes) for other in hashes[:place]]
    assert 28 < np.mean(distances) < 36
    assert np.quantile(distances, 0.01) > 10


def test_a_turned_picture_has_the_hash_of_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    held = PHOTOGRAPHS[0].transpose(Image.Transpose.ROTATE_90)
    turned = perceptual_hashes([encoded_thumbnail(encoded(held, "JPEG", exif=exif))])[0]
    assert ((turned or 0) ^ hash_of(PHOTOGRAPHS[0])).bit_count() <= 2


@pytest.mark.parametrize("image_size", [28, 96, 224, 600])
def test_a_labeler_of_any_size_finds_the_hash_but_for_a_few_bits(image_size: int) -> None:
    """JPEGs are scaled while they are decoded, to the size that the model needs."""
    for photograph in PHOTOGRAPHS:
        data = encoded(photograph, "JPEG", quality=90)
        plain = plain_jpeg(data)
        assert plain is not None
        scaled = decode_plain_jpeg(data, plain, least=(image_size, image_size))
        assert scaled is not None
        assert (
            (perceptual_hash(scaled) or 0) ^ (perceptual_hashes([encoded_thumbnail(data)])[0] or 0)
        ).bit_count() <= 4


def noisy_grey() -> np.ndarray:
    return np.random.default_rng(0).normal(128, 2, (200, 200, 3)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((224, 224, 3), np.uint8),
        np.full((28, 28, 3), 255, np.uint8),
        np.full((1, 1, 3), 7, np.uint8),
        np.full((60, 80, 3), (200, 30, 90), np.uint8),
        np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3).repeat(256, axis=0),
        noisy_grey(),
    ],
    ids=["black", "white", "one pixel", "one colour", "gradient", "noisy grey"],
)
def test_a_picture_without_structure_has_no_hash(pixels: np.ndarray) -> None:
    assert perceptual_hash(pixels) is None


def test_hashes_have_half_of_their_bits_set() -> None:
    assert {hash_of(crop).bit_count() for crop in crops(20)} == {32}
