"""How many images of each class are kept, and how often each is repeated (Xie et al., section 3.1: data balancing)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClassBalance:
    """How each class is balanced. All arrays have the shape (classes,)."""

    kept: npt.NDArray[np.int64]
    """How many distinct images are kept."""
    copies_each: npt.NDArray[np.int64]
    """How often every kept image is repeated at least."""
    one_more: npt.NDArray[np.int64]
    """How many of the kept images, drawn at random, are repeated once more."""
    lacking: npt.NDArray[np.int64] | None = None
    """How many rows each class lacks, because its images may not be repeated more often; None: none."""

    @property
    def copies(self) -> npt.NDArray[np.int64]:
        """How many rows each class has once its images are repeated."""
        return self.kept * self.copies_each + self.one_more


def balance_classes(
    confident: npt.NDArray[np.int64],
    max_per_class: int | None,
    fill_up: bool,
    max_copies: int | None = None,
    share_per_class: float = 1.0,
) -> ClassBalance:
    """Caps large classes at `max_per_class` images and, with `fill_up`, fills small ones by repeating their images.

    Of each class's images at most `share_per_class`, in 0..1, are kept, rounded up: a threshold for each class, at a
    quantile of its own confidences (Zou et al. 2018, "Class-balanced self-training", section 3.3).

    `confident` is (classes,): how many images pass the filter. Without a cap, classes are filled up to the largest one.
    No image is repeated more than `max_copies` times; None: as often as it takes. A class without a confident image
    stays empty. The paper takes 130,000 images a class, without a limit of copies (Xie et al., section 3.1).
    """
    # A share of 0.1 is a little more than a tenth in floating point.
    allowed = np.ceil(confident * share_per_class - 1e-9).astype(np.int64)
    kept = allowed if max_per_class is None else np.minimum(allowed, max_per_class)
    largest = int(kept.max(initial=0)) if max_per_class is None else max_per_class
    target = np.where(kept > 0, largest if fill_up else kept, 0)
    wanted = target
    if max_copies is not None:
        target = np.minimum(target, kept * max_copies)
    divisor = np.maximum(kept, 1)
    # Extra copies are drawn from classes that keep all their images. The others are repeated as a whole.
    target = np.where(kept < confident, target - target % divisor, target)
    return ClassBalance(kept, target // divisor, target % divisor, wanted - target)
