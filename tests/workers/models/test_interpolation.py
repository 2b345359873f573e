"""A recipe's filter is the one that resizes pictures, in training as in labeling."""

import random

import numpy as np
import pytest
from PIL import Image

from tests.support.as_pillow import detailed, encoded
from workers.data.images.clean import prepare_clean
from workers.models.clean_batches import clean_batches
from workers.specs.initialization import Interpolation
from workers.specs.model_card import ModelCard
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.training.input.noise import Box, TrainingTransform

PHOTOGRAPH = detailed((150, 120))
FILTERS: dict[Interpolation, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
SIZE = (64, 64)


def difference(one: object, other: object) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize("name", FILTERS)
def test_the_filter_of_the_recipe_resizes_in_training_and_that_of_the_card_in_labeling(name: Interpolation) -> None:
    wanted = {each: np.asarray(PHOTOGRAPH.resize(SIZE, resampling)) for each, resampling in FILTERS.items()}
    other = next(each for each in FILTERS if each != name)
    card = ModelCard(
        model="m", classes=("a",), image_size=64, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none", interpolation=name,
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    quiet = Noise(rand_augment=None, dropout=0, drop_path=0)
    recipe = Recipe(image_size=64, crop="none", horizontal_flip=False, noise=quiet, interpolation=name)
    pixels = np.array(PHOTOGRAPH)
    trained = TrainingTransform(recipe)(pixels, Box(0, 0, *PHOTOGRAPH.size), random.Random(0))
    by_pillow = prepare_clean(PHOTOGRAPH, card)
    (lossless,) = clean_batches([encoded(PHOTOGRAPH, "PNG")], card, 1, None)
    (by_torch,) = clean_batches([encoded(PHOTOGRAPH, "JPEG", quality=100, subsampling=0)], card, 1, None)
    for found in (trained, by_pillow, lossless.pixels[0], by_torch.pixels[0]):
        assert difference(found, wanted[name]) < 1 < difference(found, wanted[other])
