"""Decodes a picture in every way that the stages do, and compares the results with Pillow's."""

import random
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.inputs.expectations import Broken, Decodes, PictureInput
from benchmarks.inputs.made_pictures import as_pillow
from workers.data.errors import BrokenImage
from workers.data.images.clean import prepare_clean
from workers.data.images.decode import decode_rgb
from workers.models.clean_batches import clean_batches
from workers.specs.model_card import ModelCard
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.training.input.noise import TrainingTransform
from workers.training.input.training_images import PictureReader, Sample

MOST_MEAN_ERROR = 1.0
"""The largest permitted mean difference over all pixels and channels, on a scale of 255."""

Pixels = npt.NDArray[np.uint8]


def _card(crop: str, size: int) -> ModelCard:
    return ModelCard.model_validate(
        {
            "model": "test_resnet", "classes": ("a", "b"), "image_size": size, "mean": (0.5,) * 3, "std": (0.5,) * 3,
            "crop": crop, "parameters": 1, "run_id": "r", "generation": 0, "validation_top1": 0.0,
        }
    )  # fmt: skip


_CARDS = tuple(_card(crop, size) for crop in ("none", "center") for size in (32, 96, 224))
_TRAINING_SIZES = (32, 96)


def judge_picture(given: PictureInput) -> list[str]:
    """What is wrong with how the picture is decoded; empty if nothing is."""
    data = given.make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_outcome = [_problems(data, expected) for expected in given.expected]
    return [] if any(not each for each in by_outcome) else min(by_outcome, key=len)


def _problems(data: bytes, expected: Decodes | Broken) -> list[str]:
    decoded = _decoded(data)
    if isinstance(expected, Broken):
        if not isinstance(decoded, BrokenImage):
            return [f"is decoded, as {decoded.size}, and should be broken as {' or '.join(expected.kinds)}"]
        right = decoded.kind.value in expected.kinds and decoded.reason
        return [] if right else [f"is {decoded.kind.value} ({decoded.reason}), not {' or '.join(expected.kinds)}"]
    if isinstance(decoded, BrokenImage):
        return [f"is {decoded.kind.value} ({decoded.reason}) and should be decoded"]
    reference = (expected.reference or as_pillow)(data)
    problems = _compared("decoded", np.asarray(decoded), np.asarray(reference))
    if problems:
        return problems
    for card in _CARDS:
        problems += _compared(f"{card.crop} {card.image_size}", _clean(data, card), prepare_clean(reference, card))
    for size in _TRAINING_SIZES:
        problems += _compared(f"training {size}", _trained_on(data, size), _shrunk(reference, size))
    return problems


def _decoded(data: bytes) -> Image.Image | BrokenImage:
    try:
        return decode_rgb(data)
    except BrokenImage as error:
        return error


def _clean(data: bytes, card: ModelCard) -> Pixels | None:
    """The picture as the label and evaluate stages see it; None if it is broken."""
    [batch] = clean_batches([data], card, 1, None)
    return batch.pixels[0] if batch.rows else None


def _trained_on(data: bytes, size: int) -> Pixels | None:
    """The picture as training sees it, without noise and crop; None if it is broken."""
    reader = PictureReader(TrainingTransform(_recipe(size)))
    try:
        return reader(Sample(0, data), random.Random(0))
    except BrokenImage:
        return None


def _shrunk(reference: Image.Image, size: int) -> Pixels:
    """The picture as training would see it if Pillow had decoded it."""
    transform, draws = TrainingTransform(_recipe(size)), random.Random(0)
    return transform(np.array(reference), transform.box(*reference.size, draws), draws)


def _recipe(size: int) -> Recipe:
    noise = Noise(rand_augment=None, dropout=0, drop_path=0)
    return Recipe(image_size=size, crop="none", horizontal_flip=False, noise=noise)


def _compared(where: str, pixels: Pixels | None, reference: Pixels) -> list[str]:
    if pixels is None:
        return [f"{where}: broken there, and decoded elsewhere"]
    if pixels.shape != reference.shape:
        return [f"{where}: of the shape {pixels.shape}, Pillow's is {reference.shape}"]
    error = float(np.abs(pixels.astype(np.int16) - reference.astype(np.int16)).mean())
    return [f"{where}: {error:.2f} of 255 from Pillow's"] if error > MOST_MEAN_ERROR else []
