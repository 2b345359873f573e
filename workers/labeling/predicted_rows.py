"""Streams a shard through the model: rows as they are read, with what the model says of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workers.data.errors import BrokenImage
from workers.data.images.decode import content_hash
from workers.data.shards.shard_readers import ShardImages
from workers.models.predictor import MakesPredictions


@dataclass(frozen=True)
class PredictedRows:
    """Consecutive rows of a shard. In the mappings, rows are counted within these."""

    start: int
    """The first of them, as the shard counts its rows."""
    keys: list[str]
    content_hashes: list[bytes]
    """Empty unless hashes are wanted."""
    labels: list[int]
    """Indices of the dataset's classes; empty for a dataset without labels."""
    probabilities: npt.NDArray[np.float32]
    """(rows, classes of the model). The row of a broken image is NaN."""
    broken: dict[int, BrokenImage]
    perceptual_hashes: dict[int, int]
    """Of images that are neither broken nor flat; empty unless hashes are wanted."""
    without_label: frozenset[int] = frozenset()
    """The rows for which imported labels have none."""


def predicted_rows(
    predictor: MakesPredictions, pieces: Iterable[ShardImages], with_hashes: bool = True
) -> Iterator[PredictedRows]:
    """Yields the rows of a shard that is being read in consecutive pieces.

    Images stream through: a large shard takes no more memory than a small one. Raises what reading and predicting
    raise.
    """
    read, start = _Read(with_hashes), 0
    for predicted in predictor.predictions(_images(pieces, read), with_hashes):
        count = len(predicted.probabilities)
        keys, hashes, labels = read.take(count)
        yield PredictedRows(
            start=start,
            keys=keys,
            content_hashes=hashes,
            labels=labels,
            probabilities=predicted.probabilities,
            broken={row: read.unreadable.pop(start + row, error) for row, error in predicted.broken.items()},
            perceptual_hashes=predicted.hashes,
            without_label=predicted.without_label,
        )
        start += count


@dataclass
class _Read:
    """What is known about rows that have been read and not yet predicted."""

    with_hashes: bool
    keys: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unreadable: dict[int, BrokenImage] = field(default_factory=dict)
    """By row of the shard."""

    def take(self, count: int) -> tuple[list[str], list[bytes], list[int]]:
        """Removes the first `count` rows, and returns their keys, hashes and labels."""
        taken = self.keys[:count], self.hashes[:count], self.labels[:count]
        del self.keys[:count], self.hashes[:count], self.labels[:count]
        return taken


def _images(pieces: Iterable[ShardImages], read: _Read) -> Iterator[bytes]:
    """Yields the images as the predictor asks for them, and adds to `read` what else is known about them."""
    rows = 0
    for piece in pieces:
        read.keys += piece.keys
        read.labels += piece.labels or []
        if read.with_hashes:
            read.hashes += [content_hash(image) for image in piece.images]
        read.unreadable.update({rows + row: error for row, error in piece.unreadable.items()})
        rows += len(piece.keys)
        yield from piece.images
