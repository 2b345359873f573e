"""Decoding for a crop gives the same picture as decoding the whole, and decodes each small picture once."""

import io
import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images

from workers.data.errors import BrokenImage
from workers.data.images.decode import decode_rgb
from workers.data.images.plain_jpeg import PlainJpeg, decode_plain_jpeg
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.training.input.noise import Box, TrainingTransform, random_resized_box
from workers.training.input.training_images import PictureMemory, PictureReader, Sample

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


@pytest.mark.parametrize("size", [48, 64, 96])
def test_a_reduced_decoding_shows_the_same_crop_to_the_decoded_pixel(
    photograph: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On average the picture is closer to that of a whole decoding than a bilinear filter's would be.

    This concerns the part that is shown. Against the part that was drawn, whose edges lie within decoded pixels, the
    picture is off by at most a third of a pixel.
    """
    scales = []

    def decoded(data: bytes, jpeg: PlainJpeg, least: tuple[int, int] | None = None) -> npt.NDArray[np.uint8] | None:
        scales.append(decode_plain_jpeg(data, jpeg, least))
        return scales[-1]

    monkeypatch.setattr("workers.training.input.training_images.decode_plain_jpeg", decoded)
    transform, whole = TrainingTransform(Recipe(image_size=size, noise=NO_NOISE)), np.array(decode_rgb(photograph))
    ours, bilinear = [], []
    for seed in range(20):
        found = PictureReader(transform, 0)(Sample("a", photograph), random.Random(seed)).astype(int)
        draws = random.Random(seed)
        height, width, _ = scales[-1].shape
        shown = on_the_whole(transform.box(*SIZE, draws).decoded(SIZE, (width, height)), width)
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
    assert max(ours) < 2.5


def on_the_whole(box: Box, width: int) -> Box:
    """A crop of the photograph, in coordinates of the picture decoded at that width."""
    eighths = 8 * width // SIZE[0]
    left, top, right, bottom = (
        round(edge * 8 / eighths) for edge in (box.left, box.top, box.left + box.width, box.top + box.height)
    )
    return Box(left, top, right - left, bottom - top)


@given(st.integers(1, 7), st.tuples(st.integers(600, 3000), st.integers(600, 3000)), st.randoms(use_true_random=False))
def test_a_crop_of_a_reduced_decoding_is_the_drawn_one_to_half_a_decoded_pixel(
    eighths: int, size: tuple[int, int], draws: random.Random
) -> None:
    box = random_resized_box(*size, draws)
    decoded = box.decoded(size, (-(-size[0] * eighths // 8), -(-size[1] * eighths // 8)))
    for drawn, length, found, found_length in (
        (box.left, box.width, decoded.left, decoded.width),
        (box.top, box.height, decoded.top, decoded.height),
    ):
        assert abs(drawn * eighths / 8 - found) <= 0.5
        assert abs((drawn + length) * eighths / 8 - (found + found_length)) <= 0.5


@pytest.mark.parametrize("size", [64, 256, 480])
def test_a_picture_is_the_same_whether_there_was_memory_for_it_or_not(photograph: bytes, size: int) -> None:
    """After a resume, and with other loader processes, different pictures are in memory."""
    with_room, without = reader(size, 1 << 30), reader(size, 0)
    for seed in range(8):
        pictures = [each(Sample("a", photograph), random.Random(seed)) for each in (with_room, without)]
        assert np.array_equal(pictures[0], pictures[1])


def test_a_picture_that_needs_no_reduction_is_the_same_to_the_byte(photograph: bytes) -> None:
    small = encoded(load_sample_images().images[1][:200, :200])
    for seed in range(5):
        expected = reader(128, 1 << 30)(Sample("a", small), random.Random(seed))
        assert np.array_equal(expected, reader(128, 0)(Sample("a", small), random.Random(seed)))


@pytest.mark.parametrize("data", [b"", b"no picture", flat(8)[:40]])
def test_broken_bytes_are_broken_images(data: bytes) -> None:
    with pytest.raises(BrokenImage):
        reader(8, 0)(Sample("a", data), random.Random(0))


def test_a_truncated_jpeg_is_broken(photograph: bytes) -> None:
    with pytest.raises(BrokenImage):
        reader(8, 0)(Sample("a", photograph[: len(photograph) // 2]), random.Random(0))


def test_a_picture_is_decoded_once_while_it_fits_and_not_kept_when_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(
        "workers.training.input.training_images.decode_rgb", lambda data: decoded.append(data) or decode_rgb(data)
    )
    read = reader(8, memory_bytes=8 * 8 * 3)
    for sample in (Sample(1, flat(8)), Sample(2, flat(64))):
        for seed in range(2):
            read(sample, random.Random(seed))
    assert decoded == [flat(8), flat(64), flat(64)]


def test_a_full_memory_keeps_nothing_more() -> None:
    memory = PictureMemory(max_bytes=100)
    first, large, last = (np.zeros((size, 1, 3), np.uint8) for size in (20, 40, 10))
    for key, picture in enumerate((first, large, last)):
        memory.keep(key, picture)
    assert memory.get(0) is first
    assert memory.get(1) is None
    assert memory.get(2) is None


def test_pictures_of_one_key_are_one_picture() -> None:
    read = reader(8, memory_bytes=1000)
    assert [read(Sample(1, flat(8, value)), random.Random(0)).max() for value in (1, 2)] == [1, 1]
    assert read(Sample(2, flat(8, 2)), random.Random(0)).max() == 2
