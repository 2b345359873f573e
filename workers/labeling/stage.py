"""Runs the label stage: sends every shard without a label file to the pool. Only the actors import torch."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from workers.artifact_io import delete_temporaries, exists, join_uri, write_bytes
from workers.labeling.calibration import calibrate
from workers.labeling.duplicates import write_duplicates
from workers.labeling.imported_join import join_imported
from workers.labeling.label_files import LabelSummary, read_summary
from workers.labeling.resumed_shards import finish_shards
from workers.labeling.reused_labels import take_over_labels
from workers.labeling.unfinished_shards import unfinished_shards
from workers.leakage.fingerprints import prepare_fingerprints
from workers.leakage.photographs import MOST_LOOK_ALIKES, look_alike_share
from workers.runtime.bad_data import check_bad_images, require_manifest
from workers.runtime.shard_pool import ShardFunction
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import LEAKAGE_FILE, BrokenKind, LeakageCheck
from workers.specs.labeling import LabeledBy
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.reports import FailureReason
from workers.specs.results import LabelResult
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER, QUARANTINE_FOLDER, LabelSpec

logger = logging.getLogger(__name__)


def run_label(spec: LabelSpec, reporter: StageReporter) -> LabelResult:
    """Pseudo-labels the unlabeled dataset with the teacher (Xie et al., section 2), or with the mean of several.

    Shards that an earlier attempt has labeled in the same way are left as they are, and label files that earlier stages
    have made of the same shards in the same way are taken over. Raises StageError(BAD_DATA) for a
    shard that cannot be read, and for more broken images than max_bad_fraction allows.
    """
    manifest = require_manifest(spec.manifest_uri)
    reporter.announce(manifest.rows, "images")
    _require_teachers(spec)
    _delete_temporaries(spec)
    imported = None
    if spec.imported is not None:
        imported = join_imported(spec.folder_uri, spec.manifest_uri, manifest, spec.imported, reporter.still_alive)
    leakage = _leakage_check(spec, reporter)
    calibration = calibrate(spec)
    temperature = 1.0 if calibration is None else calibration.temperature
    labeled_by = spec.labeled_by(temperature, None if imported is None else imported.digest)
    reused = take_over_labels(spec, manifest, labeled_by, alive=reporter.still_alive)
    totals = _Totals()
    missing = list(_unlabeled(spec, manifest, labeled_by, totals))
    for shard in missing:
        reused.pop(shard, None)
    resumed = totals.shards - len(reused)
    logger.info("%d shards to label, %d labeled before, %d taken over", len(missing), resumed, len(reused))
    images_per_second = _label(spec, labeled_by, missing, totals, reporter)

    rows_per_shard = [shard.rows for shard in manifest.shards]
    duplicates = write_duplicates(spec.folder_uri, rows_per_shard, alive=reporter.still_alive)
    quarantine = join_uri(spec.folder_uri, QUARANTINE_FOLDER)
    check_bad_images(manifest, totals.bad_by_kind, spec.max_bad_fraction, quarantine)
    labeled = totals.images - totals.bad - totals.without_label
    return LabelResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images=totals.images,
        labeled=labeled,
        bad_images=totals.bad,
        shards=totals.shards,
        shards_resumed=resumed,
        dataset_id=manifest.dataset_id,
        labeled_by=labeled_by,
        images_reused=sum(manifest.shards[shard].rows for shard in reused),
        shards_reused=len(reused),
        reused_from=tuple(dict.fromkeys(reused[shard] for shard in sorted(reused))),
        mean_confidence=totals.confidence_sum / max(1, labeled),
        images_per_second=images_per_second,
        calibration=calibration,
        views=spec.views,
        further_teachers=tuple(each.model_id for each in spec.further_teachers),
        bad_by_kind=dict(sorted(totals.bad_by_kind.items())),
        held_out=totals.held_out,
        duplicates=duplicates,
        near_duplicates=totals.near_duplicates,
        near_duplicates_unchecked=(
            () if spec.near_duplicate_distance or leakage is None else tuple(one.dataset_id for one in leakage.sets)
        ),
        without_look=totals.without_look,
        leakage=leakage,
        imported_labels=None if imported is None else imported.labels,
        imported_unknown=0 if imported is None else imported.labels - imported.matched,
        without_label=totals.without_label,
    )


def _require_teachers(spec: LabelSpec) -> None:
    """Raises StageError(USER_ERROR) if the files of a further teacher are gone, before any actor starts."""
    for number, teacher in enumerate(spec.further_teachers):
        missing = [name for name in (MODEL_CARD_FILE, WEIGHTS_FILE) if not exists(join_uri(teacher.uri, name))]
        if missing:
            raise StageError(
                FailureReason.USER_ERROR,
                f"labeling.further_teachers.{number}: {teacher.model_id} has lost its {' and '.join(missing)}, which "
                f"should be in {teacher.uri}",
            )


def _leakage_check(spec: LabelSpec, reporter: StageReporter) -> LeakageCheck | None:
    """Fingerprints the evaluation images of any number, unless that was done, and notes what they tell selection.

    Raises StageError if they cannot be read.
    """
    if not spec.evaluation_images:
        return None
    sets = tuple(prepare_fingerprints(each, spec.pool, reporter.still_alive) for each in spec.evaluation_images)
    distance = spec.near_duplicate_distance
    share = look_alike_share(spec.evaluation_images, distance) if distance else None
    found = LeakageCheck(
        sets=sets,
        near_duplicate_distance=distance,
        look_alike_share=share,
        photographs=share is not None and share <= MOST_LOOK_ALIKES,
    )
    write_bytes(join_uri(spec.folder_uri, LEAKAGE_FILE), found.model_dump_json().encode())
    return found


@dataclass
class _Totals:
    """Sums over the labeled shards. Only sums are kept: a pool may have a million shards."""

    shards: int = 0
    images: int = 0
    bad_by_kind: Counter[BrokenKind] = field(default_factory=Counter)
    held_out: int = 0
    without_label: int = 0
    near_duplicates: int = 0
    without_look: int = 0
    confidence_sum: float = 0.0

    @property
    def bad(self) -> int:
        return self.bad_by_kind.total()

    def add(self, summary: LabelSummary) -> None:
        self.shards += 1
        self.images += summary.rows
        self.bad_by_kind.update(summary.bad_by_kind)
        self.held_out += summary.held_out
        self.without_label += summary.without_label
        self.near_duplicates += summary.near_duplicates
        self.without_look += summary.without_look
        self.confidence_sum += summary.confidence_sum


def _delete_temporaries(spec: LabelSpec) -> None:
    """Deletes what killed actors have left half written. An actor that outlived its driver cannot finish then."""
    folders = [
        join_uri(spec.folder_uri, name) for name in (QUARANTINE_FOLDER, NEAR_DUPLICATES_FOLDER, DUPLICATES_FOLDER)
    ]
    deleted = sum(delete_temporaries(folder) for folder in (spec.folder_uri, *folders))
    if deleted:
        logger.info("%d half-written files of an earlier attempt are deleted", deleted)


def _unlabeled(spec: LabelSpec, manifest: DatasetManifest, labeled_by: LabeledBy, totals: _Totals) -> Iterator[int]:
    """Yields the shards without a complete label file of these teachers, and adds the others to the totals."""
    read = partial(read_summary, spec.folder_uri, labeled_by=labeled_by)
    return unfinished_shards(spec.folder_uri, manifest, read, totals.add)


def _label(
    spec: LabelSpec, labeled_by: LabeledBy, missing: list[int], totals: _Totals, reporter: StageReporter
) -> float:
    """Labels the missing shards, adds them to the totals, and returns how many images were labeled a second."""

    def add(payload: bytes) -> int:
        totals.add(LabelSummary.model_validate_json(payload))
        return totals.images

    make = partial(_make_labeler, spec, labeled_by)
    return finish_shards(make, missing, spec.pool, totals.images, add, reporter)


def _make_labeler(spec: LabelSpec, labeled_by: LabeledBy) -> ShardFunction:
    # They import torch, in the actors only.
    from workers.labeling.imported_labeler import ImportedLabeler
    from workers.labeling.shard_labeler import ShardLabeler

    return ShardLabeler(spec, labeled_by) if spec.imported is None else ImportedLabeler(spec, labeled_by)
