"""Which pseudo labels may be learned from at all: readable, not held out, confident enough."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.selection.label_rows import LabelRows


@dataclass(frozen=True)
class FilterCounts:
    """Why rows were dropped; each counts once, under the first reason that holds. Merged by adding."""

    rows: int
    bad: int
    held_out: int
    low_confidence: int
    labeled: npt.NDArray[np.int64]
    """(classes,) rows with a label."""
    confident: npt.NDArray[np.int64]
    """(classes,) rows that pass every filter."""

    @classmethod
    def nothing(cls, classes: int) -> "FilterCounts":
        """Of no rows."""
        zeros = np.zeros(classes, dtype=np.int64)
        return cls(0, 0, 0, 0, zeros, zeros)

    def __add__(self, other: "FilterCounts") -> "FilterCounts":
        return FilterCounts(
            self.rows + other.rows,
            self.bad + other.bad,
            self.held_out + other.held_out,
            self.low_confidence + other.low_confidence,
            self.labeled + other.labeled,
            self.confident + other.confident,
        )


def confident_rows(
    rows: LabelRows, classes: int, min_confidence: float, held_out: npt.NDArray[np.bytes_]
) -> tuple[npt.NDArray[np.int64], FilterCounts]:
    """Row numbers that pass, ascending, and the counts. `held_out` are sorted content hashes, dtype S16."""
    readable = rows.labels >= 0
    allowed = readable & ~_contained(rows.hashes, held_out)
    # In single precision, as confidences are stored: 0.3 is then confident enough for 0.3.
    passing = allowed & (rows.confidences >= np.float32(min_confidence))
    counts = FilterCounts(
        rows=len(rows.labels),
        bad=int((~readable).sum()),
        held_out=int((readable & ~allowed).sum()),
        low_confidence=int((allowed & ~passing).sum()),
        labeled=np.bincount(rows.labels[readable], minlength=classes),
        confident=np.bincount(rows.labels[passing], minlength=classes),
    )
    return np.flatnonzero(passing), counts


def _contained(hashes: npt.NDArray[np.bytes_], held_out: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
    if not held_out.size:
        return np.zeros(len(hashes), dtype=bool)
    at = np.searchsorted(held_out, hashes)
    return held_out[np.minimum(at, held_out.size - 1)] == hashes
