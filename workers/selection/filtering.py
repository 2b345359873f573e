"""Filters pseudo labels: which of them a student may learn from (Xie et al., section 3.1: data filtering)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.selection.label_rows import LabelRows


@dataclass(frozen=True)
class FilterCounts:
    """How many rows were dropped, and why. A row counts once, under the first reason that holds. Counts add up."""

    rows: int
    bad: int
    held_out: int
    near_duplicates: int
    duplicates: int
    marked_wrong: int
    low_confidence: int
    labeled: npt.NDArray[np.int64]
    """(classes,): rows with a label, confident or not."""

    @classmethod
    def nothing(cls, classes: int) -> "FilterCounts":
        """The counts before any row has been looked at."""
        zeros = np.zeros(classes, dtype=np.int64)
        return cls(0, 0, 0, 0, 0, 0, 0, zeros)

    def __add__(self, other: "FilterCounts") -> "FilterCounts":
        return FilterCounts(
            self.rows + other.rows,
            self.bad + other.bad,
            self.held_out + other.held_out,
            self.near_duplicates + other.near_duplicates,
            self.duplicates + other.duplicates,
            self.marked_wrong + other.marked_wrong,
            self.low_confidence + other.low_confidence,
            self.labeled + other.labeled,
        )


def confident_mask(rows: LabelRows, largest_doubt: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.bool_]:
    """The rows that pass every filter, as a mask: readable, not excluded, confident enough.

    `largest_doubt` is that of all classes, or (classes,).
    """
    # A broken image has label -1, which takes the last class's; its doubt is more than any threshold allows.
    allowed = largest_doubt if largest_doubt.ndim == 0 else np.take(largest_doubt, rows.labels)
    passing: npt.NDArray[np.bool_] = rows.doubts <= allowed
    return passing


def filter_counts(rows: LabelRows, passing: npt.NDArray[np.bool_], classes: int) -> FilterCounts:
    """Counts why the rows of a shard that are not `passing` were dropped."""
    labels = rows.labels[rows.labels >= 0] if rows.labels.min(initial=0) < 0 else rows.labels
    bad, readable = len(rows.labels) - len(labels), len(labels)
    excluded = readable - int(np.count_nonzero(rows.usable))
    return FilterCounts(
        rows=len(rows.labels),
        bad=bad,
        held_out=excluded - rows.dropped_near_duplicates - rows.dropped_duplicates - rows.marked_wrong,
        near_duplicates=rows.dropped_near_duplicates,
        duplicates=rows.dropped_duplicates,
        marked_wrong=rows.marked_wrong,
        low_confidence=readable - excluded - int(np.count_nonzero(passing)),
        labeled=np.bincount(labels, minlength=classes),
    )
