"""The fast path from a JPEG to a model's pixels, compared with Pillow."""

import io
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from workers.data.images.clean import prepare_clean, resize_clean
from workers.data.images.decode import BrokenImage, decode_rgb
from workers.models.clean_batches import clean_batches
from workers.models.fast_jpeg import decode_fast, prepare_fast
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import ModelCard

PHOTOGRAPHS = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]

Crop = Literal["center", "none"]


def card(image_size: int = 224, crop: Crop = "center") -> ModelCard:
    return ModelCard(
        model="m", classes=("a",), image_size=image_size, mean=(0.5,) * 3, std=(0.5,) * 3, crop=crop,
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip


def jpeg(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **{"quality": 85, **options})
    return buffer.getvalue()


def fast_pixels(data: bytes, card: ModelCard) -> np.ndarray:
    picture = decode_fast(data, card)
    assert picture is not None
    return prepare_fast(picture, card)


@given(
    st.sampled_from(PHOTOGRAPHS),
    st.integers(150, 420),
    st.integers(150, 420),
    st.sampled_from(["RGB", "L"]),
    st.sampled_from(["center", "none"]),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_picture_of_less_than_twice_the_size_is_the_same_but_for_rounding(
    photograph: Image.Image,
    width: int,
    height: int,
    mode: str,
    crop: Crop,
    subsampling: int,
    progressive: bool,
) -> None:
    data = jpeg(
        photograph.resize((width, height)).convert(mode), progressive=progressive,
        **({} if mode == "L" else {"subsampling": subsampling}),
    )  # fmt: skip
    pixels = fast_pixels(data, card(crop=crop))
    expected = prepare_clean(decode_rgb(data), card(crop=crop))
    assert pixels.shape == expected.shape == (224, 224, 3)
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= 8
    assert difference.mean() < 0.5


@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("image_size", [16, 28, 60, 90])
def test_a_larger_picture_is_scaled_while_it_is_decoded_and_looks_the_same(image_size: int, crop: Crop) -> None:
    for photograph in PHOTOGRAPHS:
        data = jpeg(photograph)
        pixels = fast_pixels(data, card(image_size, crop))
        expected = prepare_clean(decode_rgb(data), card(image_size, crop))
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(float) - expected).mean() < 5


def test_what_is_not_a_plain_jpeg_is_left_to_the_careful_way() -> None:
    picture = PHOTOGRAPHS[0].resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    plain_exif = Image.Exif()
    plain_exif[0x0110] = "camera"
    png = io.BytesIO()
    picture.save(png, "PNG")
    data = jpeg(picture)
    careful = [jpeg(picture, exif=exif), jpeg(picture.convert("CMYK")), png.getvalue(), b"", data[: len(data) // 2]]
    assert [decode_fast(each, card()) for each in careful] == [None] * 5
    assert decode_fast(jpeg(picture, exif=plain_exif), card()) is not None
    assert decode_fast(jpeg(picture, xmp=b'<a tiff:Orientation="8"/>'), card()) is None
    assert decode_fast(jpeg(picture, xmp=b'<a tiff:Orientation="1"/>'), card()) is not None


@given(st.binary(max_size=40), st.integers(0, 3000))
@settings(max_examples=200, deadline=None)
def test_damaged_bytes_are_broken_or_decoded_as_pillow_decodes_them(noise: bytes, at: int) -> None:
    data = bytearray(jpeg(PHOTOGRAPHS[1].resize((60, 40))))
    data[at : at + len(noise)] = noise
    (batch,) = clean_batches([bytes(data)], card(32), 1, None)
    try:
        decode_rgb(bytes(data))
    except BrokenImage:
        return
    assert batch.rows == [0]


@pytest.mark.parametrize("size", [(40, 900), (901, 40), (1, 60_000)])
def test_a_long_picture_is_cut_before_it_is_resized_and_looks_the_same(size: tuple[int, int]) -> None:
    data = jpeg(PHOTOGRAPHS[0].resize(size), subsampling=0)
    pixels, expected = fast_pixels(data, card()), prepare_clean(decode_rgb(data), card())
    assert np.abs(pixels.astype(int) - expected).mean() < 0.5


def test_a_picture_that_cannot_be_prepared_is_broken_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_on_a_line(picture: Image.Image, card: ModelCard) -> np.ndarray:
        if 1 in picture.size:
            raise OverflowError("too long\nfor an int")
        return resize_clean(picture, card)

    monkeypatch.setattr("workers.models.clean_batches.resize_clean", fails_on_a_line)
    line, photograph = (io.BytesIO() for _ in range(2))
    Image.new("RGB", (1, 9)).save(line, "PNG")
    PHOTOGRAPHS[0].save(photograph, "PNG")
    (batch,) = clean_batches([line.getvalue(), photograph.getvalue()], card(32), 2, None)
    assert batch.rows == [1]
    assert {row: (error.kind, error.reason) for row, error in batch.broken.items()} == {
        0: (BrokenKind.DAMAGED, "too long for an int")
    }


def test_a_batch_of_large_files_is_of_fewer_and_no_more_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(PHOTOGRAPHS[0].resize((60, 40)))
    monkeypatch.setattr("workers.models.clean_batches.PIECE_BYTES", 2 * len(data))
    asked: list[int] = []

    def images() -> Iterator[bytes]:
        for number in range(5):
            asked.append(number)
            yield data

    batches = clean_batches(images(), card(32), 4, None)
    assert (next(batches).rows, len(asked)) == ([0, 1], 2)
    assert [batch.rows for batch in batches] == [[2, 3], [4]]
