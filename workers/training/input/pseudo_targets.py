"""What the student is to answer for pseudo-labeled images: soft or hard targets (Xie et al., section 2)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.soft_labels import SoftLabels
from workers.specs.recipe import Recipe

Target = npt.NDArray[np.float32]
"""(classes,): the probability that the student is to give each class, times the weight of the image in the loss."""


@dataclass(frozen=True)
class SoftTargets:
    """Targets that are the soft labels themselves, p^(1/temperature), normalised over all classes."""

    soft_labels: SoftLabels
    temperature: float

    def of(self, image: int) -> Target:
        """The target of an image."""
        distribution = self.soft_labels.distribution(image)
        if self.temperature != 1.0:
            # Relative to the largest probability, so that not all powers underflow.
            distribution = (distribution / distribution.max()) ** np.float32(1.0 / self.temperature)
        return np.asarray(distribution / distribution.sum(), dtype=np.float32)


@dataclass(frozen=True)
class HardTargets:
    """Targets that give the most probable class everything."""

    labels: npt.NDArray[np.int32]
    """(images,)"""
    num_classes: int

    def of(self, image: int) -> Target:
        """The target of an image."""
        target = np.zeros(self.num_classes, dtype=np.float32)
        target[self.labels[image]] = 1.0
        return target


PseudoTargets = SoftTargets | HardTargets


def pseudo_targets(soft_labels: SoftLabels, recipe: Recipe) -> PseudoTargets:
    """The targets of a shard's images, of which a recipe says whether they are soft or hard, and how sharp."""
    if recipe.targets == "hard":
        return HardTargets(soft_labels.labels(), len(soft_labels.ratios))
    # The labels were made with a fitted temperature already.
    return SoftTargets(soft_labels, 1.0 if recipe.temperature == "fit" else recipe.temperature)
