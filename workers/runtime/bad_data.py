"""Decides when a stage stops because its data cannot be read."""

from collections.abc import Mapping

from workers.data.errors import ShardReadError
from workers.data.shards.shard_readers import load_manifest
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import BrokenKind
from workers.specs.reports import FailureReason


def require_manifest(uri: str) -> DatasetManifest:
    """The manifest of a stage's dataset. Raises StageError(BAD_DATA) if it is missing or damaged."""
    try:
        return load_manifest(uri)
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(FailureReason.BAD_DATA, f"the dataset's manifest cannot be read: {error}") from error


def check_bad_images(
    manifest: DatasetManifest, kinds: Mapping[BrokenKind, int], max_bad_fraction: float, listed_in: str
) -> None:
    """Raises StageError(BAD_DATA) if more than `max_bad_fraction` of a dataset's images are broken, or all are.

    `kinds` counts the broken images by kind. `listed_in` is the URI of the files that name each of them.
    """
    bad, images = sum(kinds.values()), manifest.rows
    if bad > max_bad_fraction * images or (bad and bad == images):
        reasons = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()) if count)
        raise StageError(
            FailureReason.BAD_DATA,
            f"{bad} of {images} images of dataset {manifest.called} cannot be read ({reasons}); "
            f"max_bad_fraction allows {max_bad_fraction:.3g} of them; each is named in {listed_in}",
        )
