"""Weights of classes in the loss of labeled images: those of rare classes count more."""

import numpy as np
import numpy.typing as npt

from workers.data.shards.class_counts import class_counts
from workers.specs.datasets import DatasetManifest
from workers.specs.imbalance import ClassWeights


def class_weights_of(asked: ClassWeights, manifest: DatasetManifest) -> npt.NDArray[np.float32]:
    """The weights of a labeled dataset's classes, (classes,). Targets are multiplied by them.

    The loss is linear in a target, so that this weighs the loss of an image, and mixed images get a mixture of weights.
    All labels are read, and no images. Raises ShardReadError.
    """
    return weights_of(asked, class_counts(manifest))


def weights_of(asked: ClassWeights, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """What the loss of an image of each class is multiplied by, (classes,).

    `counts` is (classes,): the labeled images of each class. The mean weight over the labeled images is 1, so that the
    learning rate keeps its meaning. `inverse_frequency` is 1 / n, normalised; the effective number is that of Cui et
    al. 2019, "Class-balanced loss", section 3. A class without images has the weight 1, which nothing uses.
    """
    if asked == "none":
        return np.ones(len(counts), dtype=np.float32)
    images = np.maximum(counts, 1).astype(np.float64)
    # expm1 keeps the digits of 1 - beta^n where beta is close to 1.
    raw = 1 / images if asked == "inverse_frequency" else -1 / np.expm1(images * np.log(asked.effective_number))
    weights = raw * counts.sum() / (raw * counts).sum() if counts.any() else np.ones(len(counts))
    return np.where(counts > 0, weights, 1.0).astype(np.float32)
