"""Takes over label files of earlier label stages: a pool that has grown is labeled only where it is new."""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pydantic import ValidationError

from workers.artifact_io import copy_file, join_uri, list_files, read_bytes_if_there, write_bytes
from workers.data.errors import ShardReadError
from workers.data.shards.shard_readers import load_manifest
from workers.labeling.label_files import LabelSummary, conditions_of, read_summary
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetManifest
from workers.specs.labeling import LabeledBy, ReusableLabels
from workers.specs.stages import NEAR_DUPLICATES_FOLDER, QUARANTINE_FOLDER, LabelSpec, part_name

logger = logging.getLogger(__name__)

REUSED_FILE = "reused.json"
"""Which shards were taken over, and from where. It is written before they are copied, so that a rerun knows."""
_COPYING_THREADS = 16
_COPIED_AT_ONCE = 1024


class _Reused(Frozen):
    """The content of reused.json."""

    shards: dict[str, tuple[int, ...]]
    """Shards by the stage that labeled them."""


def take_over_labels(
    spec: LabelSpec, manifest: DatasetManifest, labeled_by: LabeledBy, alive: Callable[[], None]
) -> dict[int, str]:
    """Copies the label files that earlier stages made of the same shards in the same way.

    Returns the shards that this stage has taken over, also in earlier attempts, with the name of the stage that labeled
    each. A label file that vanishes meanwhile is left to be made anew. `alive` is called now and then.
    """
    own = list_files(spec.folder_uri)
    taken = {shard: stage for shard, stage in _taken_before(spec).items() if part_name(shard) in own}
    for earlier in spec.reusable_labels:
        missing = [shard for shard in range(len(manifest.shards)) if shard not in taken and part_name(shard) not in own]
        found = dict(_reusable(spec, manifest, labeled_by, earlier, missing, alive)) if missing else {}
        if not found:
            continue
        _record(spec, taken | dict.fromkeys(found, earlier.called))
        copied = _copy(spec, earlier, found, alive)
        taken |= dict.fromkeys(copied, earlier.called)
        logger.info("%d label files are taken over from %s", len(copied), earlier.called)
    if spec.reusable_labels:
        _record(spec, taken)
    return taken


def _reusable(
    spec: LabelSpec,
    manifest: DatasetManifest,
    labeled_by: LabeledBy,
    earlier: ReusableLabels,
    missing: list[int],
    alive: Callable[[], None],
) -> Iterator[tuple[int, tuple[int, LabelSummary]]]:
    """Yields the missing shards whose labels fit: with the place of the shard there, and the summary of its file."""
    try:
        before = load_manifest(earlier.manifest_uri)
    except (FileNotFoundError, ShardReadError):
        return
    if not _read_alike(manifest, before):
        return
    places = {shard: place for place, shard in enumerate(before.shards)}
    there = list_files(earlier.labels_uri)
    pairs = [
        (shard, place)
        for shard in missing
        if (place := places.get(manifest.shards[shard])) is not None and part_name(place) in there
    ]
    read = partial(read_summary, earlier.labels_uri, labeled_by=labeled_by, conditions=conditions_of(spec))
    with ThreadPoolExecutor(_COPYING_THREADS) as readers:
        for start in range(0, len(pairs), _COPIED_AT_ONCE):
            some = pairs[start : start + _COPIED_AT_ONCE]
            alive()
            for (shard, place), summary in zip(some, readers.map(read, [place for _, place in some]), strict=True):
                if summary is not None and summary.rows == manifest.shards[shard].rows:
                    yield shard, (place, summary)


def _read_alike(one: DatasetManifest, other: DatasetManifest) -> bool:
    """Whether a shard of one is read as a shard of the other is: the same images under the same keys."""
    columns = ("format", "image_column", "key_column", "classes")
    return all(getattr(one, name) == getattr(other, name) for name in columns)


def _copy(
    spec: LabelSpec,
    earlier: ReusableLabels,
    found: Mapping[int, tuple[int, LabelSummary]],
    alive: Callable[[], None],
) -> list[int]:
    """Copies the files, and returns the shards of those that were still there."""

    def copy(shard: int) -> bool:
        place, summary = found[shard]
        folders = [
            *([QUARANTINE_FOLDER] if summary.bad else []),
            *([NEAR_DUPLICATES_FOLDER] if summary.near_duplicates else []),
        ]
        try:
            # The label file comes last, since it marks the shard as done.
            for names in (*([folder] for folder in folders), []):
                copy_file(
                    join_uri(earlier.labels_uri, *names, part_name(place)),
                    join_uri(spec.folder_uri, *names, part_name(shard)),
                )
        except FileNotFoundError:
            return False
        return True

    shards, copied = sorted(found), []
    with ThreadPoolExecutor(_COPYING_THREADS) as copiers:
        for start in range(0, len(shards), _COPIED_AT_ONCE):
            some = shards[start : start + _COPIED_AT_ONCE]
            copied += [shard for shard, done in zip(some, copiers.map(copy, some), strict=True) if done]
            alive()
    return copied


def _taken_before(spec: LabelSpec) -> dict[int, str]:
    data = read_bytes_if_there(join_uri(spec.folder_uri, REUSED_FILE))
    try:
        reused = _Reused(shards={}) if data is None else _Reused.model_validate_json(data)
    except ValidationError:
        return {}
    return {shard: stage for stage, shards in reused.shards.items() for shard in shards}


def _record(spec: LabelSpec, taken: Mapping[int, str]) -> None:
    by_stage: dict[str, list[int]] = {}
    for shard, stage in sorted(taken.items()):
        by_stage.setdefault(stage, []).append(shard)
    reused = _Reused(shards={stage: tuple(shards) for stage, shards in by_stage.items()})
    write_bytes(join_uri(spec.folder_uri, REUSED_FILE), reused.model_dump_json().encode())
