"""How many images of each class are kept, and how often each is repeated (Xie et al., section 3.1, data balancing)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClassBalance:
    """A number for each class, all of shape (classes,)."""

    kept: npt.NDArray[np.int64]
    """Distinct images."""
    copies_each: npt.NDArray[np.int64]
    """How often every kept image appears at least."""
    one_more: npt.NDArray[np.int64]
    """How many of the kept images, drawn at random, appear once more."""

    @property
    def copies(self) -> npt.NDArray[np.int64]:
        """Rows after duplication."""
        return self.kept * self.copies_each + self.one_more


def balance_classes(confident: npt.NDArray[np.int64], max_per_class: int | None, fill_up: bool) -> ClassBalance:
    """Caps classes at `max_per_class`, and fills smaller ones up to it, or to the largest class where there is no cap.

    A class without a confident image stays empty.
    """
    kept = confident if max_per_class is None else np.minimum(confident, max_per_class)
    largest = int(kept.max(initial=0)) if max_per_class is None else max_per_class
    target = np.where(kept > 0, largest if fill_up else kept, 0)
    divisor = np.maximum(kept, 1)
    return ClassBalance(kept, target // divisor, target % divisor)
