"""Compares labeled images with evaluation images before a training: registration hashes small datasets only."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, write_bytes
from workers.leakage.evaluation_index import EvaluationIndex
from workers.leakage.fingerprints import ROW_GROUP_ROWS, prepare_fingerprints, read_fingerprints, read_keys
from workers.runtime.stage_reporter import StageError
from workers.specs.hygiene import FingerprintedImages
from workers.specs.reports import FailureReason
from workers.specs.stages import NEAR_DUPLICATES_FOLDER, ActorPool

_EXAMPLES = 3


def check_labeled_images(
    labeled: FingerprintedImages,
    evaluation: Sequence[FingerprintedImages],
    distance: int,
    folder_uri: str,
    alive: Callable[[], None],
) -> int | None:
    """Lists labeled images that look like an evaluation image in near_duplicates/DATASET_ID.parquet, and counts them.

    It is None if `distance` is 0. Raises StageError(USER_ERROR) if a labeled image is an evaluation image, or a
    validation image a test image, byte for byte: `evaluation` begins with these two sets.
    """
    pool = ActorPool(gpus_per_actor=0.0)
    sets = {prepare_fingerprints(each, pool, alive).dataset_id: each for each in evaluation}
    labeled_id = prepare_fingerprints(labeled, pool, alive).dataset_id
    for dataset, images in sets.items():
        _require_apart(labeled_id, labeled, dataset, images)
    if len(sets) > 1:
        (validation, of_validation), (test, of_test), *_ = sets.items()
        _require_apart(validation, of_validation, test, of_test)
    if not distance:
        return None
    index, found = EvaluationIndex(sets, distance), read_fingerprints(labeled)
    places, distances = index.nearest(found.looks)
    near = np.flatnonzero(places >= 0)
    if len(near):
        named = [index.named(int(place)) for place in places[near]]
        table = pa.table(
            {
                "key": _keys(labeled, found.look_rows[near].tolist()),
                "distance": distances[near].astype(np.int32),
                "evaluation_dataset": [dataset for dataset, _ in named],
                "evaluation_key": [key for _, key in named],
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_bytes(join_uri(folder_uri, NEAR_DUPLICATES_FOLDER, f"{labeled_id}.parquet"), buffer.getvalue())
    return len(near)


def _require_apart(one: str, images: FingerprintedImages, other: str, others: FingerprintedImages) -> None:
    found = read_fingerprints(images)
    shared = EvaluationIndex({other: others}, 0).equal(found.contents)
    if shared.any():
        rows = found.content_rows[np.flatnonzero(shared)[:_EXAMPLES]].tolist()
        raise StageError(
            FailureReason.USER_ERROR,
            f"{one} shares {int(np.count_nonzero(shared))} image(s) with {other}, among them "
            f"{', '.join(_keys(images, rows))}: accuracy on it would prove nothing; take them out of one of the two",
        )


def _keys(images: FingerprintedImages, rows: Sequence[int]) -> list[str]:
    """The keys of some rows, in ascending order. A row group is read once."""
    keys: list[str] = []
    group, keys_of_group = -1, []
    for row in rows:
        if row // ROW_GROUP_ROWS != group:
            group = row // ROW_GROUP_ROWS
            keys_of_group = read_keys(images, group)
        keys.append(keys_of_group[row % ROW_GROUP_ROWS])
    return keys
