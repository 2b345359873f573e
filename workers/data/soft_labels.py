"""Soft pseudo labels as label files hold them, and distribution alignment, which weighs their classes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workers.data.arrow_columns import lists_of

SOFT_LABEL_COLUMNS = ["top_classes", "top_probabilities"]
"""The columns of a label file, and of a training shard, that hold soft labels."""
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class SoftLabels:
    """A distribution over all classes for each row. The most probable classes are listed, in the teacher's order."""

    classes: npt.NDArray[np.integer]
    """(rows, k): class indices; -1 after the last one of a row that lists fewer."""
    probabilities: npt.NDArray[np.float32]
    """(rows, k): the probability of each listed class."""
    tails: npt.NDArray[np.float32]
    """(rows,): the probability of a class c that is not listed is `tails * ratios[c]`."""
    tail_sums: npt.NDArray[np.float32]
    """(rows,): the probability of all classes that are not listed."""
    ratios: npt.NDArray[np.float32]
    """(classes,): by what each class was multiplied; ones without alignment."""

    @classmethod
    def of(
        cls,
        classes: npt.NDArray[np.integer],
        probabilities: npt.NDArray[np.floating],
        ratios: npt.NDArray[np.float32],
    ) -> "SoftLabels":
        """The distributions of a label file's `top_classes` and `top_probabilities`, (rows, k), times `ratios`.

        What a row's probabilities lack to 1 is spread evenly over the classes that it does not list. Each distribution
        is normalised after the multiplication (Berthelot et al. 2020, "ReMixMatch", section 3.1). Rows of broken images
        may hold anything.
        """
        is_listed = classes >= 0
        at = np.where(is_listed, np.take(ratios, classes), np.float32(0))  # -1 takes the last class's, and is masked
        wide = probabilities.astype(np.float32)
        unlisted = len(ratios) - np.count_nonzero(is_listed, axis=1)
        # Probabilities are in half precision, so that their sum may be a little more than 1.
        left = np.where(unlisted > 0, np.maximum(0, 1 - wide.sum(axis=1)) / np.maximum(1, unlisted), 0)
        weighted = wide * at
        rest = left * np.maximum(0, ratios.sum(dtype=np.float64) - at.sum(axis=1, dtype=np.float64))
        with np.errstate(all="ignore"):  # broken images
            total = weighted.sum(axis=1, dtype=np.float64) + rest
            return cls(
                classes,
                (weighted / total[:, None]).astype(np.float32),
                (left / total).astype(np.float32),
                (rest / total).astype(np.float32),
                ratios,
            )

    def __len__(self) -> int:
        return len(self.tails)

    def taken(self, rows: npt.NDArray[np.generic]) -> "SoftLabels":
        """The distributions of the rows that a mask or indices choose."""
        return replace(
            self,
            classes=self.classes[rows],
            probabilities=self.probabilities[rows],
            tails=self.tails[rows],
            tail_sums=self.tail_sums[rows],
        )

    def distribution(self, row: int) -> npt.NDArray[np.float32]:
        """The probabilities of all classes in one row, (classes,)."""
        whole: npt.NDArray[np.float32] = self.tails[row] * self.ratios
        is_listed = self.classes[row] >= 0
        whole[self.classes[row][is_listed]] = self.probabilities[row][is_listed]
        return whole

    def sums(self) -> npt.NDArray[np.float64]:
        """The sum of all distributions, (classes,)."""
        is_listed = self.classes >= 0
        listed, number = self.classes[is_listed], len(self.ratios)
        sums = np.bincount(listed, self.probabilities[is_listed], number).astype(np.float64)
        if self.tails.any():
            tails = np.broadcast_to(self.tails[:, None], self.classes.shape)[is_listed]
            listed_tails = np.bincount(listed, weights=tails, minlength=number)
            sums = sums + self.ratios * np.maximum(0, self.tails.sum(dtype=np.float64) - listed_tails)
        return sums

    def labels(self) -> npt.NDArray[np.int32]:
        """The most probable class of each row, (rows,); among equals the one that the teacher found more probable."""
        return self._places_and_labels()[1]

    def labels_and_doubts(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """The most probable class of each row, and the sum of the others' probabilities, both (rows,)."""
        places, labels = self._places_and_labels()
        others = self.probabilities.copy()
        is_listed = np.take_along_axis(self.classes, places[:, None], axis=1)[:, 0] == labels
        rows = np.flatnonzero(is_listed)
        others[rows, places[rows]] = 0
        doubts = others.sum(axis=1, dtype=np.float64) + self.tail_sums
        doubts -= np.where(is_listed, 0, self.tails * self.ratios[labels])
        return labels, np.clip(doubts, 0, 1).astype(np.float32)

    def _places_and_labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The place of each row's best listed class, and each row's best class, which need not be listed."""
        places = self.probabilities.argmax(axis=1)
        best = np.take_along_axis(self.probabilities, places[:, None], axis=1)[:, 0]
        labels = np.take_along_axis(self.classes, places[:, None], axis=1)[:, 0].astype(np.int32)
        # The teacher found a class that is not listed less probable: only a larger ratio makes it the label.
        open_rows = np.flatnonzero(self.tails * self.ratios.max() > best)
        for candidate in np.argsort(-self.ratios, kind="stable"):
            if not open_rows.size:
                break
            is_listed = (self.classes[open_rows] == candidate).any(axis=1)
            here = open_rows[~is_listed]
            wins = (self.tails[here] * self.ratios[candidate] > best[here]) & (
                self.ratios[candidate] > self.ratios[labels[here]]
            )
            labels[here[wins]] = candidate
            open_rows = open_rows[is_listed]
        return places, labels


@dataclass(frozen=True)
class ListedClasses:
    """The most probable classes of some rows as a file lists them, most probable first.

    Rows of broken images, which are never selected, are zeros, or nulls in label files of earlier versions.
    """

    classes: npt.NDArray[np.integer]
    """(rows, k); -1 after the last one of a row that lists fewer."""
    probabilities: npt.NDArray[np.floating]
    """(rows, k)"""

    @classmethod
    def of(cls, table: pa.Table) -> "ListedClasses":
        """The rows of a table that has SOFT_LABEL_COLUMNS."""
        classes, probabilities = (lists_of(table[name]) for name in SOFT_LABEL_COLUMNS)
        return cls(classes, probabilities)

    def taken(self, rows: npt.NDArray[np.integer]) -> "ListedClasses":
        """What the rows with these indices list."""
        return ListedClasses(self.classes[rows], self.probabilities[rows])

    def columns(self) -> dict[str, pa.FixedSizeListArray]:
        """The SOFT_LABEL_COLUMNS of a table with these rows."""
        k = self.classes.shape[1]
        arrays = (self.classes, self.probabilities)
        return {
            name: pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), k)
            for name, values in zip(SOFT_LABEL_COLUMNS, arrays, strict=True)
        }

    def weighed(self, ratios: npt.NDArray[np.float32]) -> SoftLabels:
        """The distributions of all rows, times `ratios`, (classes,)."""
        return SoftLabels.of(self.classes, self.probabilities, ratios)

    def weighed_in_parts(self, ratios: npt.NDArray[np.float32]) -> Iterator[tuple[slice, SoftLabels]]:
        """Yields the same distributions for a few rows at a time, and which rows these are.

        A whole shard would take many times the memory, and longer, because nothing would stay in a processor's caches.
        """
        for start in range(0, len(self.classes), _ROWS_AT_A_TIME):
            rows = slice(start, start + _ROWS_AT_A_TIME)
            classes = self.classes[rows]
            widest = max(1, int(np.count_nonzero(classes >= 0, axis=1).max()))
            yield rows, SoftLabels.of(classes[:, :widest], self.probabilities[rows, :widest], ratios)
