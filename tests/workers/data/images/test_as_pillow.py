"""Every decoder gives the same picture as ImageOps.exif_transpose(Image.open(file)).convert("RGB")."""

import io
import random
from functools import cache
from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.as_pillow import huge_jpegs, pictures
from workers.data.images.clean import prepare_clean
from workers.data.images.decode import decode_rgb
from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes, thumbnail
from workers.models.clean_batches import clean_batches
from workers.specs.model_card import ModelCard
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.training.input.noise import TrainingTransform
from workers.training.input.training_images import PictureReader, Sample

PICTURES, HUGE = dict(pictures()), dict(huge_jpegs())
EVERY = {**PICTURES, **HUGE}
WITHOUT_NOISE = Noise(rand_augment=None, dropout=0, drop_path=0)


@cache
def as_pillow(name: str) -> Image.Image:
    """The reference decoding. A damaged EXIF block, for which ImageOps raises, does not spoil a picture."""
    picture = Image.open(io.BytesIO(EVERY[name]))
    picture.load()
    try:
        return ImageOps.exif_transpose(picture).convert("RGB")
    except Exception:
        return picture.convert("RGB")


def difference(found: object, expected: object) -> float:
    ours, theirs = np.asarray(found).astype(float), np.asarray(expected).astype(float)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).mean())


def card(image_size: int, crop: Literal["center", "none"]) -> ModelCard:
    return ModelCard(
        model="m", classes=("a",), image_size=image_size, mean=(0.5,) * 3, std=(0.5,) * 3, crop=crop,
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_as_it_is(name: str) -> None:
    assert difference(decode_rgb(PICTURES[name]), as_pillow(name)) < 1


@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("name", EVERY)
def test_for_labeling_validation_and_evaluation(name: str, crop: Literal["center", "none"]) -> None:
    whole = as_pillow(name)
    for image_size in (32, 224):
        (batch,) = clean_batches([EVERY[name]], card(image_size, crop), 1, None)
        assert difference(batch.pixels[0], prepare_clean(whole, card(image_size, crop))) < 1


@pytest.mark.parametrize("name", EVERY)
def test_for_training(name: str) -> None:
    whole = as_pillow(name)
    for image_size in (32, 224):
        recipe = Recipe(image_size=image_size, crop="none", horizontal_flip=False, noise=WITHOUT_NOISE)
        found = PictureReader(TrainingTransform(recipe))(Sample("a", EVERY[name]), random.Random(0))
        # For black and white dots it matters whether a filter starts with rows or columns; Pillow 13 does either.
        most = 1.5 if " 1" in name else 1
        assert difference(found, whole.resize((image_size, image_size), Image.Resampling.BICUBIC)) < most


@pytest.mark.parametrize("name", EVERY)
def test_for_the_perceptual_hash(name: str) -> None:
    (expected,) = perceptual_hashes([thumbnail(np.asarray(as_pillow(name)))])
    found = perceptual_hashes([encoded_thumbnail(EVERY[name])])[0]
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        # Scaling down a huge picture shows a different part of its grain.
        assert (found ^ expected).bit_count() <= (8 if name in HUGE else 4)
