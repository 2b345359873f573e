"""Accuracy, calibration and confusion, added up shard by shard. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.data.confidence import BINS, bin_of
from workers.specs.results import Confusion, Metrics

_PACKED = np.dtype([("truth", "<i4"), ("predicted", "<i4"), ("confidence", "<f4"), ("in_top5", "?")])


@dataclass(frozen=True)
class Judged:
    """Predictions and their truth. All arrays have the shape (images,)."""

    truth: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    """The probability of the predicted class."""
    in_top5: npt.NDArray[np.bool_]

    def to_bytes(self) -> bytes:
        """Packs the arrays into 13 bytes an image."""
        packed = np.empty(len(self.truth), dtype=_PACKED)
        for name in _PACKED.names or ():
            packed[name] = getattr(self, name)
        return packed.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Judged":
        """Unpacks what `to_bytes` has packed."""
        packed = np.frombuffer(data, dtype=_PACKED)
        return cls(packed["truth"], packed["predicted"], packed["confidence"], packed["in_top5"])


def judge(probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.int32]) -> Judged:
    """Compares predictions with the truth, (images,). `probabilities` is (images, classes) without NaN.

    Equal probabilities rank by class index. The truth is in the top 5 if fewer than 5 classes rank before it; with 5
    classes or fewer it always is.
    """
    images, classes = probabilities.shape
    if not images:
        return Judged(truth, truth, np.empty(0, dtype=np.float32), np.empty(0, dtype=np.bool_))
    of_truth = probabilities[np.arange(images), truth][:, None]
    earlier = np.arange(classes)[None, :] < truth[:, None]
    rank = ((probabilities > of_truth) | ((probabilities == of_truth) & earlier)).sum(axis=1)
    return Judged(truth, probabilities.argmax(axis=1).astype(np.int32), probabilities.max(axis=1), rank < 5)


class MetricSums:
    """Sums over judged images. Their memory depends only on the number of classes."""

    def __init__(self, classes: int) -> None:
        self._confusion = np.zeros((classes, classes), dtype=np.int64)
        self._in_top5 = 0
        self._bin_images = np.zeros(BINS, dtype=np.int64)
        self._bin_correct = np.zeros(BINS, dtype=np.int64)
        self._bin_confidence = np.zeros(BINS, dtype=np.float64)

    def add(self, judged: Judged) -> None:
        """Adds some images."""
        np.add.at(self._confusion, (judged.truth, judged.predicted), 1)
        self._in_top5 += int(judged.in_top5.sum())
        confidence = judged.confidence.astype(np.float64)
        bins = bin_of(confidence)
        np.add.at(self._bin_images, bins, 1)
        np.add.at(self._bin_correct, bins, judged.truth == judged.predicted)
        np.add.at(self._bin_confidence, bins, confidence)

    @property
    def images(self) -> int:
        """How many images have been added."""
        return int(self._confusion.sum())

    def metrics(self, classes: Sequence[str]) -> Metrics:
        """The metrics of all images that were added. Raises ValueError if there are none.

        The calibration error is that of Guo et al. 2017, section 2.
        """
        images = self.images
        if not images:
            raise ValueError("no images were judged")
        correct, of_class = self._confusion.diagonal(), self._confusion.sum(axis=1)
        gaps = np.abs(self._bin_correct - self._bin_confidence)
        return Metrics(
            images=images,
            top1=float(correct.sum() / images),
            top5=self._in_top5 / images,
            per_class={
                name: float(right / total) if total else None
                for name, right, total in zip(classes, correct, of_class, strict=True)
            },
            expected_calibration_error=float(gaps.sum() / images),
            confusion=self._sparse_confusion(),
        )

    def _sparse_confusion(self) -> Confusion:
        true, predicted = np.nonzero(self._confusion)
        counts = zip(true.tolist(), predicted.tolist(), self._confusion[true, predicted].tolist(), strict=True)
        return Confusion(classes=len(self._confusion), counts=tuple(counts))
