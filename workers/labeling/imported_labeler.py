"""Labels shards from imported labels. Pictures are decoded all the same: for their hashes, and to find broken ones."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from workers.data.errors import BrokenImage
from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes
from workers.data.shards.shard_readers import ShardImages
from workers.labeling.imported_join import read_joined
from workers.labeling.shard_labeler import LabelWriter
from workers.models.clean_batches import batches_within
from workers.models.predictor import Predictions
from workers.specs.labeling import LabeledBy
from workers.specs.stages import LabelSpec


class ImportedLabeler(LabelWriter):
    """Writes label files from what `join_imported` has found for each shard."""

    def __init__(self, spec: LabelSpec, labeled_by: LabeledBy) -> None:
        assert spec.imported is not None
        self._num_classes = len(spec.imported.classes)
        self._batch_size = spec.batch_size
        threads = min(len(os.sched_getaffinity(0)), max(1, int(spec.pool.cpus_per_actor)))
        self._decoders = ThreadPoolExecutor(threads, "decode")
        super().__init__(spec, labeled_by, self._labels_of(np.empty((0, 1), np.int32), np.empty((0, 1), np.float32)))

    def label(self, shard_index: int, pieces: Iterable[ShardImages]) -> bytes:
        rows = self._manifest.shards[shard_index].rows
        self._labels = self._labels_of(*read_joined(self._spec.folder_uri, shard_index, rows))
        return super().label(shard_index, pieces)

    def _labels_of(self, classes: npt.NDArray[np.int32], probabilities: npt.NDArray[np.float32]) -> "_TableLabels":
        return _TableLabels(classes, probabilities, self._num_classes, self._batch_size, self._decoders)


class _TableLabels:
    """Takes the place of a model for the pictures of one shard: its labels are those of a table, in row order."""

    def __init__(
        self,
        classes: npt.NDArray[np.int32],
        probabilities: npt.NDArray[np.float32],
        num_classes: int,
        batch_size: int,
        decoders: Executor,
    ) -> None:
        """`classes` and `probabilities` are (rows, k). A row without a label lists no class."""
        self._classes = classes
        self._probabilities = probabilities
        self._num_classes = num_classes
        self._batch_size = batch_size
        self._decoders = decoders

    def predict(self, images: Sequence[bytes]) -> Predictions:
        """The labels of the shard's first pictures."""
        return self._labels(0, images)

    def predictions(self, images: Iterable[bytes], with_hashes: bool = True) -> Iterator[Predictions]:
        """Yields the labels of the shard's pictures, which come in row order, always with their hashes."""
        start = 0
        for batch in batches_within(images, self._batch_size):
            yield self._labels(start, batch)
            start += len(batch)

    def _labels(self, start: int, images: Sequence[bytes]) -> Predictions:
        seen = list(self._decoders.map(_thumbnail, images))
        broken = {row: picture for row, picture in enumerate(seen) if isinstance(picture, BrokenImage)}
        whole = {row: picture for row, picture in enumerate(seen) if not isinstance(picture, BrokenImage)}
        looks = dict(zip(whole, perceptual_hashes(list(whole.values())), strict=True))
        rows = slice(start, start + len(images))
        classes, probabilities = self._classes[rows], self._probabilities[rows]
        without = np.flatnonzero((classes < 0).all(axis=1)).tolist()
        return Predictions(
            probabilities=dense_probabilities(classes, probabilities, self._num_classes),
            broken=broken,
            hashes={row: look for row, look in looks.items() if look is not None},
            without_label=frozenset(row for row in without if row not in broken),
        )


def dense_probabilities(
    classes: npt.NDArray[np.int32], probabilities: npt.NDArray[np.float32], num_classes: int
) -> npt.NDArray[np.float32]:
    """The probability of each class, (rows, num_classes), from those that rows list, (rows, k).

    What is missing to 1 is spread over the classes that a row does not list, or over all if it lists all.
    """
    rows = len(classes)
    dense = np.zeros((rows, num_classes), dtype=np.float32)
    is_listed = np.zeros((rows, num_classes), dtype=bool)
    row, place = np.nonzero(classes >= 0)
    dense[row, classes[row, place]] = probabilities[row, place]
    is_listed[row, classes[row, place]] = True
    is_listed[is_listed.all(axis=1)] = False
    missing = np.maximum(1 - dense.sum(axis=1, dtype=np.float64), 0)
    share = (missing / (~is_listed).sum(axis=1)).astype(np.float32)
    return np.where(is_listed, dense, dense + share[:, None])


def _thumbnail(data: bytes) -> npt.NDArray[np.uint8] | BrokenImage:
    try:
        return encoded_thumbnail(data)
    except BrokenImage as error:
        return error
