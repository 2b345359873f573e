"""Ranks the classes of predicted rows: the label, its doubt and confidence, and the most probable classes."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.confidence import confidence_of
from workers.labeling.top_classes import top_classes


@dataclass(frozen=True)
class Ranking:
    """The ranked classes of some rows. All of a broken row is meaningless, except that its confidence is 0."""

    is_broken: npt.NDArray[np.bool_]
    """(rows,)."""
    classes: npt.NDArray[np.int64]
    """(rows, k): the most probable classes, most probable first. Equal probabilities are ordered by class index."""
    probabilities: npt.NDArray[np.float32]
    """(rows, k): the probabilities of `classes`."""
    doubt: npt.NDArray[np.float32]
    """(rows,): 1 - confidence, which tells apart what confidence rounds to 1."""
    confidence: npt.NDArray[np.float32]
    """(rows,): the probability of the label."""

    @property
    def label(self) -> npt.NDArray[np.int32]:
        """(rows,): the most probable class."""
        return self.classes[:, 0].astype(np.int32)


def ranked(probabilities: npt.NDArray[np.float32], broken: Collection[int], k: int) -> Ranking:
    """Ranks the `k` most probable classes of each row. `probabilities` is (rows, classes); `broken` lists rows."""
    is_broken = np.zeros(len(probabilities), dtype=bool)
    is_broken[list(broken)] = True
    certain = np.where(is_broken[:, None], np.float32(0), probabilities) if broken else probabilities
    top = top_classes(certain, k)
    doubt = _doubt(certain, top[:, 0])
    return Ranking(
        is_broken=is_broken,
        classes=top,
        probabilities=np.take_along_axis(certain, top, axis=1),
        doubt=doubt,
        confidence=np.where(is_broken, np.float32(0), confidence_of(doubt)),
    )


def _doubt(probabilities: npt.NDArray[np.float32], label: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The sum of the other classes' probabilities. It equals 1 - p, but keeps its precision where p is nearly 1."""
    others = probabilities.copy()
    np.put_along_axis(others, label[:, None], 0, axis=1)
    sums = others.sum(axis=1, dtype=np.float64)
    result: npt.NDArray[np.float32] = np.minimum(sums, 1).astype(np.float32)
    return result
