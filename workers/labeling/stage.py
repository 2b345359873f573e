"""Runs the label stage: every shard without a label file goes to the pool. Free of torch: only the actors have it."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from workers.artifact_io import delete_temporaries, join_uri, list_files
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
_FOOTERS_AHEAD = 1024
"""Asked for at a time: each waits in some kilobytes of memory."""


def run_label(spec: LabelSpec, reporter: StageReporter) -> LabelResult:
    """Labels the shards that an earlier attempt has not.

    Raises StageError(BAD_DATA) for a shard that cannot be read, and for more broken images than max_bad_fraction.
    """
    manifest = require_manifest(spec.manifest_uri)
    reporter.announce(manifest.rows, "images")
    _delete_temporaries(spec)
    totals = _Totals()
    missing = list(_unlabeled(spec, manifest, totals))
    resumed = totals.shards
    logger.info("%d shards to label, %d labeled before", len(missing), resumed)
    calibration = calibrate(spec)
    temperature = 1.0 if calibration is None else calibration.temperature
    images_per_second = _label(spec, temperature, missing, totals, reporter)

    reasons = f"their reasons are in {QUARANTINE_FOLDER}/ of the label folder"
    check_bad_images(totals.bad, totals.images, spec.max_bad_fraction, f"{spec.manifest_uri} ({reasons})")
    labeled = totals.images - totals.bad
    return LabelResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images=totals.images,
        labeled=labeled,
        bad_images=totals.bad,
        shards=totals.shards,
        shards_resumed=resumed,
        mean_confidence=totals.confidence_sum / max(1, labeled),
        images_per_second=images_per_second,
        calibration=calibration,
    )


@dataclass
class _Totals:
    """Of the shards that are labeled: sums, because a pool may have a million shards."""

    shards: int = 0
    images: int = 0
    bad: int = 0
    confidence_sum: float = 0.0

    def add(self, summary: LabelSummary) -> None:
        self.shards += 1
        self.images += summary.rows
        self.bad += summary.bad
        self.confidence_sum += summary.confidence_sum


def _delete_temporaries(spec: LabelSpec) -> None:
    """What killed actors left half written. One that outlived its driver fails then, with nobody to tell it to."""
    deleted = sum(
        delete_temporaries(folder) for folder in (spec.folder_uri, join_uri(spec.folder_uri, QUARANTINE_FOLDER))
    )
    if deleted:
        logger.info("%d half-written files of an earlier attempt are deleted", deleted)


def _unlabeled(spec: LabelSpec, manifest: DatasetManifest, totals: _Totals) -> Iterator[int]:
    """The shards that have no label file yet; the others are added to the totals."""
    files = list_files(spec.folder_uri)
    there = [index for index in range(len(manifest.shards)) if part_name(index) in files]
    yield from (index for index in range(len(manifest.shards)) if part_name(index) not in files)
    with ThreadPoolExecutor(_FOOTER_READERS) as readers:
        for start in range(0, len(there), _FOOTERS_AHEAD):
            some = there[start : start + _FOOTERS_AHEAD]
            for index, summary in zip(some, readers.map(partial(read_summary, spec.folder_uri), some), strict=True):
                if summary is not None and summary.rows == manifest.shards[index].rows:
                    totals.add(summary)
                else:
                    yield index


def _label(spec: LabelSpec, temperature: float, missing: list[int], totals: _Totals, reporter: StageReporter) -> float:
    """Labels the missing shards, adds them to the totals, and returns the images a second of work."""
    done_before, clock = totals.images, WorkClock(reporter)
    reporter.update(totals.images)
    for shard in map_shards(partial(_make_labeler, spec, temperature), missing, spec.pool):
        totals.add(LabelSummary.model_validate_json(shard.payload))
        clock.add(shard.started_at, shard.ended_at)
        reporter.update(totals.images, {"images_per_second": clock.rate(totals.images - done_before)})
    return clock.rate(totals.images - done_before)


def _make_labeler(spec: LabelSpec, temperature: float) -> ShardFunction:
    from workers.labeling.shard_labeler import ShardLabeler  # torch, in the actors only

    return ShardLabeler(spec, temperature)
