"""Labels one shard after the other with one model: read, predict, write. Lives in an actor of the pool."""

from workers.data.hashes import read_hashes
from workers.data.images import content_hash
from workers.data.shard_readers import ShardImages, load_manifest, read_shard
from workers.labeling.label_files import HELD_OUT, label_table, write_label_file
from workers.models.predictor import Predictor
from workers.specs.stages import LabelSpec


class ShardLabeler:
    """The teacher of `spec`, un-noised, on clean images."""

    def __init__(self, spec: LabelSpec, temperature: float = 1.0) -> None:
        self._spec = spec
        self._manifest = load_manifest(spec.manifest_uri)
        self.predictor = Predictor(
            spec.model_uri,
            cpus=spec.pool.cpus_per_actor,
            batch_size=spec.batch_size,
            temperature=temperature,
        )
        self._held_out = {hash_.ljust(16, b"\0") for uri in spec.held_out_hashes_uris for hash_ in read_hashes(uri)}

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's label file and returns its LabelSummary as JSON. Raises ShardReadError."""
        return self.label(shard_index, read_shard(self._manifest, shard_index))

    def label(self, shard_index: int, shard: ShardImages) -> bytes:
        """The same for a shard that has been read."""
        predicted = self.predictor.predict(shard.images)
        hashes = [content_hash(image) for image in shard.images]
        excluded = [HELD_OUT if hash_ in self._held_out else None for hash_ in hashes]
        table, summary = label_table(
            shard.keys, hashes, excluded, predicted.probabilities, predicted.broken, self._spec.top_k
        )
        write_label_file(self._spec.folder_uri, shard_index, table, predicted.broken)
        return summary.model_dump_json().encode()
