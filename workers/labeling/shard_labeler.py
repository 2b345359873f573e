"""Labels one shard after the other with one model: read, predict, write. Lives in an actor of the pool."""

from workers.data.hashes import read_hashes
from workers.data.images import content_hash
from workers.data.shard_readers import load_manifest, read_shard
from workers.labeling.evaluation_hashes import EvaluationIndex
from workers.labeling.label_files import HELD_OUT, Hygiene, label_table, write_label_file
from workers.models.predictor import Predictor
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
        self._evaluation = (
            EvaluationIndex(spec.evaluation_images, spec.near_duplicate_distance)
            if spec.near_duplicate_distance
            else None
        )
        self._held_out = {hash_.ljust(16, b"\0") for uri in spec.held_out_hashes_uris for hash_ in read_hashes(uri)}

    def __call__(self, shard_index: int) -> bytes:
        """Writes the shard's label file and returns its LabelSummary as JSON. Raises ShardReadError."""
        shard = read_shard(self._manifest, shard_index)
        predicted = self._predictor.predict(shard.images)
        hashes = [content_hash(image) for image in shard.images]
        hygiene = Hygiene(
            content_hashes=hashes,
            excluded=[HELD_OUT if hash_ in self._held_out else None for hash_ in hashes],
            broken=predicted.broken | shard.unreadable,
            perceptual_hashes=predicted.hashes,
            near_duplicates=self._evaluation.near(predicted.hashes) if self._evaluation else (),
        )
        table, summary = label_table(shard.keys, hygiene, predicted.probabilities, self._spec.top_k)
        write_label_file(self._spec.folder_uri, shard_index, table, hygiene)
        return summary.model_dump_json().encode()
