"""Clean pictures have the size that a model expects, without noise."""

from typing import Literal

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from workers.data.images.clean import prepare_clean
from workers.specs.model_card import ModelCard


def card(crop: Literal["center", "none"], image_size: int = 28, crop_fraction: float = 0.875) -> ModelCard:
    return ModelCard(
        model="test_resnet",
        classes=("a", "b"),
        image_size=image_size,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop=crop,
        crop_fraction=crop_fraction,
        parameters=1,
        run_id="r",
        generation=0,
        validation_top1=0.0,
    )


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(28, 28), (50, 31), (7, 90), (1, 1)])
@pytest.mark.parametrize("crop", ["none", "center"])
def test_every_picture_gets_the_models_size(size: tuple[int, int], crop: Literal["center", "none"]) -> None:
    prepared = prepare_clean(noise(*size), card(crop))
    assert prepared.shape == (28, 28, 3)
    assert prepared.dtype == np.uint8


def test_crop_none_keeps_a_picture_that_fits_to_the_pixel() -> None:
    picture = noise(28, 28)
    assert np.array_equal(prepare_clean(picture, card("none")), np.asarray(picture))


def test_crop_center_only_crops_a_picture_whose_short_side_fits() -> None:
    picture = noise(32, 40)
    assert np.array_equal(prepare_clean(picture, card("center")), np.asarray(picture)[6:34, 2:30])


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (61, 33), (224, 224), (255, 257)])
def test_crop_center_is_what_torchvision_does(size: tuple[int, int]) -> None:
    picture = noise(*size)
    expected = CenterCrop(56)(Resize(64, InterpolationMode.BICUBIC)(picture))
    assert np.array_equal(prepare_clean(picture, card("center", image_size=56)), np.asarray(expected))


@pytest.mark.parametrize("size", [(500, 64), (64, 512), (33, 300), (300, 33)])
def test_crop_center_of_a_long_picture_is_what_torchvision_makes_of_the_whole_but_for_rounding(
    size: tuple[int, int],
) -> None:
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    waves = np.stack([127 + 120 * np.sin(x / 9), 127 + 120 * np.cos(y / 7), (x + y) % 256 // 2], axis=2)
    picture = Image.fromarray(waves.astype(np.uint8))
    expected = CenterCrop(56)(Resize(64, InterpolationMode.BICUBIC)(picture))
    assert np.abs(prepare_clean(picture, card("center", image_size=56)).astype(int) - np.asarray(expected)).mean() < 3


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_crop_center_resizes_no_more_of_a_line_than_it_can_see(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    resized, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *rest: (resized.append(size), resize(self, size, *rest))[1]
    )
    assert prepare_clean(Image.new("RGB", size, "red"), card("center")).shape == (28, 28, 3)
    ((width, height),) = resized
    assert max(width, height) <= 8 * min(width, height)
