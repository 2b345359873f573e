"""Labels one shard after another: reads images, predicts, writes a label file. Lives in an actor of the pool."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from workers.data.errors import BrokenImage
from workers.data.images.decode import content_hash
from workers.data.shards.shard_readers import ShardImages, iterate_shard, load_manifest
from workers.labeling.label_files import (
    HELD_OUT,
    Hygiene,
    LabelSummary,
    joined,
    label_table,
    read_summary,
    write_label_file,
)
from workers.leakage.evaluation_index import EvaluationIndex, NearDuplicate, as_contents
from workers.models.device import allotted_device
from workers.models.predictor import Predictions, Predictor
from workers.specs.stages import LabelSpec


class ShardLabeler:
    """The teachers of `spec`, which label without noise and on clean images (Xie et al., section 2)."""

    def __init__(self, spec: LabelSpec, temperature: float = 1.0) -> None:
        self._spec = spec
        self._labeled_by = spec.labeled_by(temperature)
        self._manifest = load_manifest(spec.manifest_uri)
        self.predictor = Predictor(
            spec.model_uri,
            allotted_device(spec.pool.gpus),
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
            views=spec.views,
            temperature=temperature,
            further=spec.further_uris,
        )
        sets = {load_manifest(images.manifest_uri).dataset_id: images for images in spec.evaluation_images}
        self._evaluation = EvaluationIndex(sets, spec.near_duplicate_distance)

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's label file and returns its LabelSummary as JSON. Raises ShardReadError.

        A label file that exists is not written again: if an actor is lost after it has written a shard, Ray Data
        hands the shard to another.
        """
        earlier = read_summary(self._spec.folder_uri, shard_index, self._labeled_by)
        if earlier is not None and earlier.rows == self._manifest.shards[shard_index].rows:
            return earlier.model_dump_json().encode()
        return self.label(shard_index, iterate_shard(self._manifest, shard_index))

    def label(self, shard_index: int, pieces: Iterable[ShardImages]) -> bytes:
        """Labels a shard that is being read in consecutive pieces, and returns its LabelSummary as JSON.

        Images stream through: a large shard takes no more memory than a small one.
        """
        read = _Read()
        parts: list[tuple[pa.Table, LabelSummary]] = []
        broken: dict[int, BrokenImage] = {}
        near_duplicates: list[NearDuplicate] = []
        rows = 0
        for predicted in self.predictor.predictions(_images(pieces, read)):
            keys, hygiene = self._hygiene(read, rows, predicted)
            parts.append(label_table(keys, hygiene, predicted.probabilities, self._spec.top_k))
            broken.update({rows + row: error for row, error in hygiene.broken.items()})
            near_duplicates += [replace(near, row=rows + near.row) for near in hygiene.near_duplicates]
            rows += len(keys)
        table, summary = joined(parts or [self._no_rows()])
        write_label_file(self._spec.folder_uri, shard_index, table, broken, near_duplicates, self._labeled_by)
        return summary.model_dump_json().encode()

    def _hygiene(self, read: "_Read", start: int, predicted: Predictions) -> tuple[list[str], Hygiene]:
        """The keys and hygiene of predicted rows. The first of them is row `start` of the shard."""
        keys, hashes = read.take(len(predicted.probabilities))
        is_held_out = self._evaluation.equal(as_contents(hashes))
        return keys, Hygiene(
            content_hashes=hashes,
            excluded=[HELD_OUT if held_out else None for held_out in is_held_out],
            broken={row: read.unreadable.get(start + row, error) for row, error in predicted.broken.items()},
            perceptual_hashes=predicted.hashes,
            near_duplicates=self._evaluation.near(predicted.hashes),
        )

    def _no_rows(self) -> tuple[pa.Table, LabelSummary]:
        return label_table([], Hygiene([], [], {}, {}), self.predictor.predict([]).probabilities, self._spec.top_k)


@dataclass
class _Read:
    """What is known about rows that have been read and not yet labeled."""

    keys: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    unreadable: dict[int, BrokenImage] = field(default_factory=dict)
    """By row of the shard."""

    def take(self, count: int) -> tuple[list[str], list[bytes]]:
        """Removes the first `count` rows, and returns their keys and hashes."""
        keys, hashes = self.keys[:count], self.hashes[:count]
        del self.keys[:count], self.hashes[:count]
        return keys, hashes


def _images(pieces: Iterable[ShardImages], read: _Read) -> Iterator[bytes]:
    """Yields the images as the predictor asks for them, and adds to `read` what else is known about them."""
    rows = 0
    for piece in pieces:
        read.keys += piece.keys
        read.hashes += [content_hash(image) for image in piece.images]
        read.unreadable.update({rows + row: error for row, error in piece.unreadable.items()})
        rows += len(piece.keys)
        yield from piece.images
