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
    confident: npt.NDArray[np.int64], max_per_class: int | None, fill_up: bool, max_copies: int | None = None
) -> ClassBalance:
    """Caps large classes at `max_per_class` images and, with `fill_up`, fills small ones by repeating their images.

    `confident` is (classes,): how many images pass the filter. Without a cap, classes are filled up to the largest one.
    No image is repeated more than `max_copies` times; None: as often as it takes. A class without a confident image
    stays empty. The paper takes 130,000 images a class, without a limit of copies (Xie et al., section 3.1).
    """
    kept = confident if max_per_class is None else np.minimum(confident, max_per_class)
    largest = int(kept.max(initial=0)) if max_per_class is None else max_per_class
    target = np.where(kept > 0, largest if fill_up else kept, 0)
    wanted = target
    if max_copies is not None:
        target = np.minimum(target, kept * max_copies)
    divisor = np.maximum(kept, 1)
    return ClassBalance(kept, target // divisor, target % divisor, wanted - target)
