"""Runs the label stage: every shard without a label file goes to the pool. Free of torch: only the actors have it."""

import logging
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from workers.artifact_io import list_files
from workers.data.errors import ShardReadError
from workers.labeling.calibration import calibrate
from workers.labeling.duplicates import write_duplicates
from workers.labeling.evaluation_hashes import MOST_IMAGES, prepare_evaluation_hashes
from workers.labeling.label_files import LabelSummary, read_summary
from workers.models.bad_data import check_bad_images, require_manifest
from workers.models.shard_pool import ShardFunction, map_shards
from workers.models.work_clock import WorkClock
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import BrokenKind
from workers.specs.stages import QUARANTINE_FOLDER, FailureReason, LabelResult, LabelSpec, part_name
from workers.stage_reporter import StageError, StageReporter

logger = logging.getLogger(__name__)

_FOOTER_READERS = 16


def run_label(spec: LabelSpec, reporter: StageReporter) -> LabelResult:
    """Labels the shards that an earlier attempt has not.

    Raises StageError(BAD_DATA) for a shard that cannot be read, and for more broken images than max_bad_fraction.
    """
    manifest = require_manifest(spec.manifest_uri)
    reporter.announce(manifest.rows, "images")
    summaries = _earlier_summaries(spec, manifest)
    resumed = len(summaries)
    missing = [index for index in range(len(manifest.shards)) if index not in summaries]
    logger.info("%d shards to label, %d labeled before", len(missing), resumed)
    unchecked = _prepare_evaluation_hashes(spec, reporter)
    calibration = calibrate(spec)
    temperature = 1.0 if calibration is None else calibration.temperature
    images_per_second = _label(spec, temperature, missing, summaries, reporter)

    rows_per_shard = [shard.rows for shard in manifest.shards]
    duplicates = write_duplicates(spec.folder_uri, rows_per_shard, alive=reporter.still_alive)
    images = sum(summary.rows for summary in summaries.values())
    bad = sum(summary.bad for summary in summaries.values())
    reasons = f"their reasons are in {QUARANTINE_FOLDER}/ of the label folder"
    check_bad_images(bad, images, spec.max_bad_fraction, f"{spec.manifest_uri} ({reasons})")
    return LabelResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images=images,
        labeled=images - bad,
        bad_images=bad,
        shards=len(manifest.shards),
        shards_resumed=resumed,
        mean_confidence=sum(summary.confidence_sum for summary in summaries.values()) / max(1, images - bad),
        images_per_second=images_per_second,
        calibration=calibration,
        bad_by_kind=_added(summary.bad_by_kind for summary in summaries.values()),
        held_out=sum(summary.held_out for summary in summaries.values()),
        duplicates=duplicates,
        near_duplicates=sum(summary.near_duplicates for summary in summaries.values()),
        near_duplicates_unchecked=unchecked,
    )


def _prepare_evaluation_hashes(spec: LabelSpec, reporter: StageReporter) -> tuple[str, ...]:
    """The ids of evaluation datasets that are too large to be compared with."""
    if not spec.near_duplicate_distance:
        return ()
    try:
        unchecked = prepare_evaluation_hashes(spec.evaluation_images, alive=reporter.still_alive)
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(FailureReason.BAD_DATA, f"an evaluation dataset cannot be read: {error}") from error
    for dataset in unchecked:
        logger.warning("%s has over %d images: no near duplicates of them are looked for", dataset, MOST_IMAGES)
    return unchecked


def _added(counts: Iterable[dict[BrokenKind, int]]) -> dict[BrokenKind, int]:
    total: Counter[BrokenKind] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def _earlier_summaries(spec: LabelSpec, manifest: DatasetManifest) -> dict[int, LabelSummary]:
    """By shard, of the label files that are there already."""
    files = list_files(spec.folder_uri)
    there = [index for index in range(len(manifest.shards)) if part_name(index) in files]
    with ThreadPoolExecutor(_FOOTER_READERS) as readers:
        found = zip(there, readers.map(partial(read_summary, spec.folder_uri), there), strict=True)
        return {
            index: summary
            for index, summary in found
            if summary is not None and summary.rows == manifest.shards[index].rows
        }


def _label(
    spec: LabelSpec,
    temperature: float,
    missing: list[int],
    summaries: dict[int, LabelSummary],
    reporter: StageReporter,
) -> float:
    """Labels the missing shards, adds their summaries, and returns the images a second of work."""
    done_before = sum(summary.rows for summary in summaries.values())
    done, clock = done_before, WorkClock(reporter)
    reporter.update(done)
    for shard in map_shards(partial(_make_labeler, spec, temperature), missing, spec.pool):
        summaries[shard.shard_index] = LabelSummary.model_validate_json(shard.payload)
        done += summaries[shard.shard_index].rows
        clock.add(shard.started_at, shard.ended_at)
        reporter.update(done, {"images_per_second": clock.rate(done - done_before)})
    return clock.rate(done - done_before)


def _make_labeler(spec: LabelSpec, temperature: float) -> ShardFunction:
    from workers.labeling.shard_labeler import ShardLabeler  # torch, in the actors only

    return ShardLabeler(spec, temperature)
