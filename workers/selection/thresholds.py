"""The confidence that images of each class need, where it differs by class: FlexMatch's and FreeMatch's thresholds.

Both papers train on batches and follow a model that improves, with counts of the last pass or moving averages. A
selection has one teacher that does not change and reads the whole pool, so here the counts and means are those of one
pass over all rows.
"""

import numpy as np
import numpy.typing as npt

from workers.selection.predictions import Predictions
from workers.specs.selection import SelectionSettings

Shares = npt.NDArray[np.float64]
"""(classes,): numbers in 0..1."""


def class_thresholds(settings: SelectionSettings, predictions: Predictions) -> Shares | None:
    """The least confidence of each class's images; None if the settings ask for the same one for all classes."""
    match settings.thresholds:
        case "fixed":
            return None
        case "flexmatch":
            return flexmatch_thresholds(predictions.confident, predictions.rows, settings.min_confidence)
        case "freematch":
            return freematch_thresholds(predictions.mean_confidence, predictions.shares, settings.min_confidence)


def flexmatch_thresholds(confident: npt.NDArray[np.int64], rows: int, threshold: float) -> Shares:
    """FlexMatch's thresholds (Zhang et al. 2021, sections 3.1 to 3.3): lower for classes with fewer confident rows.

    `confident` is (classes,): how many of all `rows` are predicted as each class with at least the confidence
    `threshold`. Divided by the largest of these numbers it tells how well a class is learned. While more rows are not
    confident than the largest class has confident ones, it is divided by their number instead (threshold warm-up). The
    mapping x / (2 - x) keeps the thresholds of badly learned classes low. A class without confident rows gets 0.
    """
    largest = max(int(confident.max(initial=0)), rows - int(confident.sum()), 1)
    learned = confident / largest
    thresholds: Shares = threshold * learned / (2 - learned)
    return thresholds


def freematch_thresholds(mean_confidence: float, shares: Shares, lowest: float) -> Shares:
    """FreeMatch's self-adaptive thresholds (Wang et al. 2023, section 4.1): the mean confidence of all rows, scaled.

    `shares` are the mean probabilities of the classes. The class with the largest one gets the mean confidence, the
    others in proportion less, but none less than `lowest`. The paper bounds them only where that is a benefit (SVHN).
    """
    largest = float(shares.max(initial=0))
    scaled = mean_confidence * shares / largest if largest else np.zeros_like(shares)
    return np.maximum(scaled, lowest)
