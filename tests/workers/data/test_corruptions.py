"""Corrupted pictures and slowly changing sequences, of any size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from workers.data.corruptions import corrupt, corrupt_by_row, generator_of
from workers.data.corruptions.sequences import NOISES, flips, sequence
from workers.specs.robustness import CORRUPTIONS, PERTURBATIONS, SEVERITIES, Corruption, Perturbation

PHOTOGRAPH = Image.fromarray(load_sample_image("china.jpg"))
# The published strengths of these do not rise evenly: elastic changes from large waves to small ones, coarse pixels may
# or may not align with the grid, and frost uses a different texture each time.
UNEVEN = {"elastic_transform", "pixelate", "frost"}
# Thicker fog also has rougher clouds, and snowflakes fall at random, so a middle severity may change a little less than
# the one below it.
NEARLY_EVEN = {"fog": 3.0, "snow": 3.0}


def photograph(size: int) -> np.ndarray:
    return np.asarray(PHOTOGRAPH.resize((size, size)))


def change(image: np.ndarray, kind: Corruption, severity: int) -> float:
    made = [corrupt(image, kind, severity, generator_of(kind, severity, n)) for n in range(4)]
    return float(np.mean([np.abs(each.astype(float) - image).mean() for each in made]))


@given(st.sampled_from(CORRUPTIONS), st.sampled_from(SEVERITIES), st.integers(8, 120), st.integers(8, 120))
@settings(max_examples=80, deadline=None)
def test_a_picture_of_any_size_keeps_its_shape_and_the_same_key_gives_the_same(
    kind: Corruption, severity: int, height: int, width: int
) -> None:
    image = np.asarray(PHOTOGRAPH.resize((width, height)))
    once = corrupt(image, kind, severity, generator_of(1, kind))
    again = corrupt(image, kind, severity, generator_of(1, kind))
    assert (once.shape, once.dtype) == (image.shape, np.uint8)
    assert np.array_equal(once, again)


@pytest.mark.parametrize("size", [28, 224])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_higher_severity_changes_more(kind: Corruption, size: int) -> None:
    image = photograph(size)
    changes = [change(image, kind, severity) for severity in SEVERITIES]
    assert changes[0] > 1
    if kind not in UNEVEN:
        assert changes[-1] > changes[0]
        assert all(later > earlier - NEARLY_EVEN.get(kind, 1.0) for earlier, later in pairwise(changes)), changes


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_black_and_white_pictures_are_corrupted_too(kind: Corruption) -> None:
    for value in (0, 255):
        flat = np.full((16, 16, 3), value, dtype=np.uint8)
        assert corrupt(flat, kind, 5, generator_of(kind)).shape == flat.shape


def test_the_rows_of_a_set_fall_to_all_kinds_and_severities() -> None:
    image = photograph(16)
    made = {corrupt_by_row(image, row).tobytes() for row in range(75)}
    assert len(made) == 75
    assert np.array_equal(corrupt_by_row(image, 7), corrupt_by_row(image, 7))


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_a_sequence_moves_slowly_away_from_its_picture(kind: Perturbation) -> None:
    image = photograph(64)
    frames = sequence(image, kind, 8, generator_of(kind)).astype(float)
    assert frames.shape == (8, 64, 64, 3)
    if kind != "snow":
        assert np.array_equal(frames[0], image)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 0).all()
    if kind not in NOISES and kind != "snow":
        away = np.abs(frames - frames[0]).mean(axis=(1, 2, 3))
        assert away[-1] > away[1]
        assert steps.max() < away[-1] * 1.2


def test_flips_are_counted_from_the_frame_before_and_for_noise_from_the_first() -> None:
    predicted = np.array([1, 2, 2, 2, 1])
    assert flips(predicted, "rotate") == 2
    assert flips(predicted, "gaussian_noise") == 3
    assert flips(np.ones(5, dtype=int), "shot_noise") == 0
