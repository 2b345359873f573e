"""Labels one shard after the other with one model: read, predict, write. Lives in an actor of the pool."""

from collections.abc import Iterator

import pyarrow as pa

from workers.data.hashes import read_hashes
from workers.data.images import content_hash
from workers.data.shard_readers import iterate_shard, load_manifest
from workers.labeling.label_files import HELD_OUT, LabelSummary, joined, label_table, read_summary, write_label_file
from workers.models.predictor import Predictions, Predictor
from workers.specs.stages import LabelSpec


class ShardLabeler:
    """The teacher of `spec`, un-noised, on clean images."""

    def __init__(self, spec: LabelSpec, temperature: float = 1.0) -> None:
        self._spec = spec
        self._manifest = load_manifest(spec.manifest_uri)
        self._predictor = Predictor(
            spec.model_uri,
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
            temperature=temperature,
        )
        self._held_out = {hash_.ljust(16, b"\0") for uri in spec.held_out_hashes_uris for hash_ in read_hashes(uri)}

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's label file and returns its LabelSummary as JSON. Raises ShardReadError.

        A label file that is there already is not written again: Ray Data hands out shards anew whose actor was lost
        after it had written them. The shard streams through, so that a large one takes no more memory than a small one.
        """
        earlier = read_summary(self._spec.folder_uri, shard_index)
        if earlier is not None and earlier.rows == self._manifest.shards[shard_index].rows:
            return earlier.model_dump_json().encode()
        keys, hashes = list[str](), list[bytes]()
        parts: list[tuple[pa.Table, LabelSummary]] = []
        broken: dict[int, str] = {}
        rows = 0
        for predicted in self._predictor.predictions(self._images(shard_index, keys, hashes)):
            count = len(predicted.probabilities)
            parts.append(self._part(keys[:count], hashes[:count], predicted))
            del keys[:count], hashes[:count]
            broken.update({rows + row: reason for row, reason in predicted.broken.items()})
            rows += count
        table, summary = joined(parts or [self._part([], [], self._predictor.predict([]))])
        write_label_file(self._spec.folder_uri, shard_index, table, broken)
        return summary.model_dump_json().encode()

    def _images(self, shard_index: int, keys: list[str], hashes: list[bytes]) -> Iterator[bytes]:
        """The shard's images, as the predictor asks for them; keys and hashes of those are added to the lists."""
        for piece in iterate_shard(self._manifest, shard_index):
            keys += piece.keys
            hashes += [content_hash(image) for image in piece.images]
            yield from piece.images

    def _part(self, keys: list[str], hashes: list[bytes], predicted: Predictions) -> tuple[pa.Table, LabelSummary]:
        excluded = [HELD_OUT if hash_ in self._held_out else None for hash_ in hashes]
        return label_table(keys, hashes, excluded, predicted.probabilities, predicted.broken, self._spec.top_k)
