"""Where an evaluation names the broken images of its datasets."""

from workers.artifact_io import join_uri
from workers.specs.datasets import DatasetManifest
from workers.specs.stages import QUARANTINE_FOLDER, EvaluateSpec


def quarantine_uri(spec: EvaluateSpec, manifest: DatasetManifest) -> str:
    """A folder for each dataset, with a file for each of its shards that has broken images."""
    return join_uri(spec.folder_uri, QUARANTINE_FOLDER, manifest.dataset_id)
