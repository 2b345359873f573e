"""Decoding for a crop: to the same picture as a whole decoding, and each small picture once."""

import io
import random

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from workers.data.errors import BrokenImage
from workers.data.images import decode_rgb
from workers.data.plain_jpeg import decode_plain_jpeg
from workers.specs.recipe import Noise, Recipe
from workers.training.noise import TrainingTransform
from workers.training.pictures import PictureMemory, PictureReader, Sample

SIZE = (1600, 1072)
NO_NOISE = Noise(rand_augment=None, dropout=0, drop_path=0)


def encoded(pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=92)
    return buffer.getvalue()


def flat(size: int, value: int = 7) -> bytes:
    return encoded(np.full((size, size, 3), value, dtype=np.uint8), "PNG")


@pytest.fixture(scope="module")
def photograph() -> bytes:
    pixels = load_sample_images().images[0]
    return encoded(np.asarray(Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)))


def reader(size: int, memory_bytes: int) -> PictureReader:
    return PictureReader(TrainingTransform(Recipe(image_size=size, noise=NO_NOISE)), memory_bytes)


@pytest.mark.parametrize("size", [64, 96, 160])
def test_a_reduced_decoding_shows_the_same_crop_to_the_decoded_pixel(photograph, size, monkeypatch):
    """Nearer to the whole decoding's picture than that is to itself with a bilinear filter, on average."""
    scales = []

    def decoded(*arguments):
        scales.append(decode_plain_jpeg(*arguments))
        return scales[-1]

    monkeypatch.setattr("workers.training.pictures.decode_plain_jpeg", decoded)
    transform, whole = TrainingTransform(Recipe(image_size=size, noise=NO_NOISE)), np.array(decode_rgb(photograph))
    ours, bilinear = [], []
    for seed in range(20):
        found = PictureReader(transform, 0)(Sample("a", photograph), random.Random(seed)).astype(int)
        draws = random.Random(seed)
        height, width, _ = scales[-1].shape
        shown = transform.box(*SIZE, draws).scaled(SIZE, (width, height)).scaled((width, height), SIZE)
        expected = transform(whole, shown, draws).astype(int)
        edges = (shown.left, shown.top, shown.left + shown.width, shown.top + shown.height)
        other = np.asarray(Image.fromarray(whole).resize((size, size), Image.Resampling.BILINEAR, box=edges)).astype(
            int
        )
        flipped = min(np.abs(expected - side).mean() for side in (other, other[:, ::-1]))
        ours.append(np.abs(expected - found).mean())
        bilinear.append(flipped)
    assert any(pixels.shape[0] < SIZE[1] for pixels in scales)
    assert np.mean(ours) < np.mean(bilinear)
    assert max(ours) < 4


def test_a_picture_that_needs_no_reduction_is_the_same_to_the_byte(photograph):
    small = encoded(load_sample_images().images[1][:200, :200])
    for seed in range(5):
        expected = reader(128, 1 << 30)(Sample("a", small), random.Random(seed))
        assert np.array_equal(expected, reader(128, 0)(Sample("a", small), random.Random(seed)))


@pytest.mark.parametrize("data", [b"", b"no picture", flat(8)[:40]])
def test_broken_bytes_are_broken_images(data):
    with pytest.raises(BrokenImage):
        reader(8, 0)(Sample("a", data), random.Random(0))


def test_a_truncated_jpeg_is_broken(photograph):
    with pytest.raises(BrokenImage):
        reader(8, 0)(Sample("a", photograph[: len(photograph) // 2]), random.Random(0))


def test_a_picture_is_decoded_once_while_it_fits_and_not_kept_when_it_does_not():
    memory = PictureMemory(max_bytes=8 * 8 * 3)
    small = memory.get(Sample(1, flat(8)))
    assert np.array_equal(small, np.asarray(decode_rgb(flat(8))))
    assert memory.get(Sample(1, flat(8))) is small
    assert memory.get(Sample(2, flat(64))) is None


def test_pictures_of_one_key_are_one_picture():
    memory = PictureMemory(max_bytes=1000)
    assert memory.get(Sample(1, flat(8, 1))) is memory.get(Sample(1, flat(8, 2)))
    assert memory.get(Sample(2, flat(8, 2))).max() == 2
