"""Decodes all labeled and validation images before a training, to count and list the broken ones."""

import logging
from collections import Counter
from collections.abc import Callable

from workers.artifact_io import join_uri
from workers.data.quarantine import find_broken, found_before, keep_found, write_quarantine
from workers.runtime.bad_data import check_bad_images, require_manifest
from workers.specs.hygiene import BrokenKind
from workers.specs.stages import QUARANTINE_FOLDER, TrainSpec

logger = logging.getLogger(__name__)


def check_images(spec: TrainSpec, alive: Callable[[], None]) -> int:
    """Counts the broken images, and lists them in quarantine/DATASET_ID.parquet of the stage's folder.

    A dataset is checked once for all trainings, unless it has too many broken images: it may be mended and tried again.
    Raises StageError(BAD_DATA) if it has too many, and ShardReadError. `alive` is called now and then.
    """
    return sum(
        _check(spec, uri, alive) for uri in dict.fromkeys((spec.labeled_manifest_uri, spec.validation_manifest_uri))
    )


def _check(spec: TrainSpec, manifest_uri: str, alive: Callable[[], None]) -> int:
    manifest = require_manifest(manifest_uri)
    before = found_before(manifest, manifest_uri)
    broken = find_broken(manifest, alive) if before is None else before
    listed_in = join_uri(spec.folder_uri, QUARANTINE_FOLDER, f"{manifest.dataset_id}.parquet")
    if broken:
        write_quarantine(listed_in, broken)
        logger.warning("%d images of dataset %s cannot be read: see %s", len(broken), manifest.called, listed_in)
    kinds = Counter(each.kind for each in broken)
    check_bad_images(manifest, kinds, spec.max_bad_fraction, listed_in)
    if before is None and BrokenKind.UNREADABLE not in kinds:  # files that are missing now may appear
        keep_found(manifest, manifest_uri, broken)
    return len(broken)
