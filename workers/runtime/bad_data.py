"""When a stage stops because its data cannot be read."""

from workers.data.errors import ShardReadError
from workers.data.shards.shard_readers import load_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.reports import FailureReason


def require_manifest(uri: str) -> DatasetManifest:
    """The manifest of a stage's dataset. Raises StageError(BAD_DATA) where it is missing or damaged."""
    try:
        return load_manifest(uri)
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(FailureReason.BAD_DATA, f"the dataset's manifest cannot be read: {error}") from error


def check_bad_images(bad: int, images: int, max_bad_fraction: float, where: str) -> None:
    """Raises StageError(BAD_DATA) where more than `max_bad_fraction` of the images are broken, or all of them are."""
    if bad > max_bad_fraction * images or (bad and bad == images):
        share = f"{bad} of {images} images of {where} cannot be read"
        raise StageError(FailureReason.BAD_DATA, f"{share}; max_bad_fraction allows {max_bad_fraction:.3g} of them")
