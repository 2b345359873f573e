"""Says where an evaluation lists the broken images of its datasets."""

from workers.artifact_io import join_uri
from workers.specs.datasets import DatasetManifest
from workers.specs.stages import QUARANTINE_FOLDER, EvaluateSpec


def quarantine_uri(spec: EvaluateSpec, manifest: DatasetManifest) -> str:
    """The folder of one dataset. It has a file for each shard with broken images."""
    return join_uri(spec.folder_uri, QUARANTINE_FOLDER, manifest.dataset_id)
