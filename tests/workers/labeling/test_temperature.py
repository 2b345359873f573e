"""Fitting a teacher's temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from workers.labeling.calibration import reliability_diagram
from workers.labeling.temperature import fit_temperature


def drawn(temperature: float, seed: int, images: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by the factor `temperature`, and labels drawn from the correct probabilities."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 2, (images, 5))
    labels = (softmax(honest, axis=1).cumsum(axis=1) > generator.random((images, 1))).argmax(axis=1)
    return (honest * temperature).astype(np.float32), labels


@given(st.floats(0.2, 8.0), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_temperature_that_was_put_in_is_found(temperature: float, seed: int) -> None:
    logits, labels = drawn(temperature, seed)
    fitted = fit_temperature(logits, labels)
    assert fitted.temperature == pytest.approx(temperature, rel=0.12)
    assert fitted.loss_after <= fitted.loss_before


def test_an_overconfident_teacher_becomes_honest() -> None:
    fitted = fit_temperature(*drawn(3.0, seed=1))
    assert fitted.error_before > 0.1
    assert fitted.error_after < 0.03
    assert sum(each.images for each in fitted.bins_after) == fitted.images == 4000


def test_a_teacher_that_is_always_right_keeps_finite_probabilities() -> None:
    logits = np.eye(4, dtype=np.float32).repeat(10, axis=0) * 5
    fitted = fit_temperature(logits, np.arange(4).repeat(10))
    assert 0.04 < fitted.temperature <= 1


def test_without_images_there_is_nothing_to_fit() -> None:
    with pytest.raises(ValueError, match="without images"):
        fit_temperature(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64))


def test_the_diagram_is_a_picture_of_both_and_the_same_each_time() -> None:
    fitted = fit_temperature(*drawn(3.0, seed=1))
    assert b"<svg" in reliability_diagram(fitted)
