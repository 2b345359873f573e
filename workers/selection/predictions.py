"""Sums of what a teacher predicts for the rows that may be learned from. Thresholds and alignment follow from them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.confidence import confidence_of
from workers.selection.filtering import confident_mask
from workers.selection.label_rows import LabelRows

_UNITS = 1 << 30
"""Sums of each shard are rounded to integers of this many parts of one: these can be added in any order, on any number
of processes, and make the same thresholds. 64 bits hold the sums of eight billion rows."""


@dataclass(frozen=True)
class Predictions:
    """Sums over rows that may be learned from. They can be added in any order."""

    rows: int
    confident: npt.NDArray[np.int64]
    """(classes,): rows of each class that the threshold of all classes lets pass."""
    confidence_units: int
    """The sum of all confidences."""
    class_units: npt.NDArray[np.int64]
    """(classes,): the sum of the probabilities of each class; zeros if soft labels were not read."""

    @classmethod
    def nothing(cls, classes: int) -> "Predictions":
        """The sums before any row has been looked at."""
        return cls(0, np.zeros(classes, dtype=np.int64), 0, np.zeros(classes, dtype=np.int64))

    @classmethod
    def of(cls, rows: LabelRows, class_sums: npt.NDArray[np.float64], largest_doubt: np.float32) -> "Predictions":
        """The sums of one shard. `class_sums`, (classes,), sums the distributions of its usable rows, or is zero."""
        confidences = confidence_of(rows.doubts[rows.usable])
        return cls(
            rows=len(confidences),
            confident=np.bincount(rows.labels[confident_mask(rows, largest_doubt)], minlength=len(class_sums)),
            confidence_units=round(float(confidences.sum(dtype=np.float64)) * _UNITS),
            class_units=np.rint(class_sums * _UNITS).astype(np.int64),
        )

    def __add__(self, other: "Predictions") -> "Predictions":
        return Predictions(
            self.rows + other.rows,
            self.confident + other.confident,
            self.confidence_units + other.confidence_units,
            self.class_units + other.class_units,
        )

    @property
    def mean_confidence(self) -> float:
        """The mean confidence of all rows, in 0..1."""
        return self.confidence_units / _UNITS / max(1, self.rows)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """(classes,): the mean probability of each class. They sum to 1."""
        return self.class_units / max(1, int(self.class_units.sum()))
