"""Fits the teacher's temperature on validation images, and measures how well its confidence predicts its accuracy."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from workers.data.confidence import BINS, bin_of
from workers.specs.results import Calibration, ReliabilityBin

_LOWEST, _HIGHEST = 0.05, 20.0

Logits = npt.NDArray[np.float32]
"""(images, classes)."""
Labels = npt.NDArray[np.int64]
"""(images,): class indices."""


def fit_temperature(logits: Logits, labels: Labels) -> Calibration:
    """Fits the temperature of least negative log-likelihood, between 0.05 and 20 (Guo et al. 2017, section 4.2).

    Raises ValueError if there are no images.
    """
    if not len(labels):
        raise ValueError("a temperature cannot be fitted without images")
    wide = logits.astype(np.float64)
    found = minimize_scalar(
        lambda log_temperature: _loss(wide / np.exp(log_temperature), labels),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    # A bounded minimiser tries inner points only: a temperature of 1 may be as good.
    temperature = float(np.exp(found.x)) if found.fun < _loss(wide, labels) else 1.0
    before, after = reliability(wide, labels), reliability(wide / temperature, labels)
    return Calibration(
        temperature=temperature,
        images=len(labels),
        error_before=calibration_error(before),
        error_after=calibration_error(after),
        loss_before=_loss(wide, labels),
        loss_after=_loss(wide / temperature, labels),
        bins_before=before,
        bins_after=after,
    )


def reliability(logits: npt.NDArray[np.floating], labels: Labels) -> tuple[ReliabilityBin, ...]:
    """The accuracy and mean confidence of the images in each bin of confidence (Guo et al. 2017, section 2)."""
    probabilities = np.exp(log_softmax(logits, axis=1))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = bin_of(confidence)
    found: list[ReliabilityBin] = []
    for number in range(BINS):
        members = bins == number
        images = int(members.sum())
        found.append(
            ReliabilityBin(
                lower=number / BINS,
                upper=(number + 1) / BINS,
                images=images,
                accuracy=float(right[members].mean()) if images else None,
                confidence=float(confidence[members].mean()) if images else None,
            )
        )
    return tuple(found)


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """The expected calibration error: the mean gap between accuracy and confidence, weighted by images."""
    total = sum(each.images for each in bins)
    return sum(each.images * abs((each.accuracy or 0.0) - (each.confidence or 0.0)) for each in bins) / max(1, total)


def _loss(logits: npt.NDArray[np.float64], labels: Labels) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
