"""Runs the label stage: every shard without a label file goes to the pool. Free of torch: only the actors have it."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from workers.artifact_io import list_files
from workers.labeling.calibration import calibrate
from workers.labeling.label_files import LabelSummary, read_summary
from workers.models.bad_data import check_bad_images, require_manifest
from workers.models.shard_pool import ShardFunction, map_shards
from workers.models.work_clock import WorkClock
from workers.specs.datasets import DatasetManifest
from workers.specs.stages import QUARANTINE_FOLDER, LabelResult, LabelSpec, part_name
from workers.stage_reporter import StageReporter

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
    calibration = calibrate(spec)
    temperature = 1.0 if calibration is None else calibration.temperature
    images_per_second = _label(spec, temperature, missing, summaries, reporter)

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
    )


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
        reporter.pause_if_asked()
    return clock.rate(done - done_before)


def _make_labeler(spec: LabelSpec, temperature: float) -> ShardFunction:
    from workers.labeling.shard_labeler import ShardLabeler  # torch, in the actors only

    return ShardLabeler(spec, temperature)
