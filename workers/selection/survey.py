"""The passes before the selection: what the teacher predicts on the whole, and what follows for thresholds and labels.

Nothing is read where every class has the same threshold and labels are not aligned.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from workers.artifact_io import join_uri, write_bytes
from workers.data.alignment import alignment_ratios, write_alignment
from workers.data.shards.class_counts import class_counts
from workers.data.soft_labels import ListedClasses
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageReporter
from workers.selection.label_rows import NEVER, LabelRows, read_label_rows
from workers.selection.passes import Passes
from workers.selection.predictions import Predictions
from workers.selection.selection_files import aligned_parquet
from workers.selection.selector import Rules
from workers.selection.shard_ranges import read_ahead
from workers.selection.thresholds import Shares, class_thresholds
from workers.specs.stages import SelectSpec, part_name

_ALIGNED_FOLDER = "aligned"
"""The folder of aligned labels and doubts, below the select folder. It is deleted at the end of the stage."""


@dataclass(frozen=True)
class Survey:
    """What the passes before the selection found, each (classes,); None where nobody asked for it."""

    thresholds: Shares | None = None
    """The confidence that the images of each class need."""
    predicted: Shares | None = None
    """The mean probability that the teacher gives each class."""
    target: Shares | None = None
    """The share that each class should have."""
    aligned: Shares | None = None
    """The mean probability of each class after alignment."""

    def distance_of(self, shares: Shares | None) -> float | None:
        """The total variation distance of `shares` from the target, in 0..1; None if there is no target."""
        return None if self.target is None or shares is None else float(np.abs(shares - self.target).sum() / 2)


def survey(spec: SelectSpec, passes: Passes, reporter: StageReporter) -> tuple[Survey, Rules]:
    """Goes over all rows once for thresholds, twice for alignment, and returns the rules that the selection follows.

    The second pass of alignment writes every row's new label and doubt to a folder of its own, so that the passes of
    the selection read as little as without. Raises StageError(BAD_DATA) for a damaged label file, and ShardReadError
    for labeled images whose classes cannot be counted.
    """
    settings, rules = spec.settings, passes.rules
    is_aligned = settings.distribution_alignment != "none"
    if settings.thresholds == "fixed" and not is_aligned:
        return Survey(), rules
    needs_means = is_aligned or settings.thresholds == "freematch"
    predictions = _summed(passes, partial(_sum, needs_means), reporter)
    predicted = predictions.shares if needs_means else None
    target = aligned = None
    if is_aligned:
        target = _target(spec)
        ratios = alignment_ratios(target, predictions.shares)
        write_alignment(spec.folder_uri, ratios)
        rules = replace(rules, aligned_uri=join_uri(spec.folder_uri, _ALIGNED_FOLDER))
        predictions = _summed(replace(passes, rules=rules), partial(_align, ratios), reporter)
        aligned = predictions.shares
    thresholds = class_thresholds(settings, predictions)
    return Survey(thresholds, predicted, target, aligned), replace(rules, thresholds=thresholds)


def _target(spec: SelectSpec) -> Shares:
    """The share that each class should have, (classes,)."""
    if spec.settings.distribution_alignment == "uniform":
        return np.full(len(spec.classes), 1 / len(spec.classes))
    assert spec.labeled_manifest_uri is not None, "every spec of this version has one"
    manifest = require_manifest(spec.labeled_manifest_uri)
    counts = dict(zip(manifest.classes, class_counts(manifest).tolist(), strict=True))
    images = np.array([counts[name] for name in spec.classes], dtype=np.float64)
    shares: Shares = images / images.sum()
    return shares


def _summed(passes: Passes, function: Callable[[Rules, range], Predictions], reporter: StageReporter) -> Predictions:
    found = Predictions.nothing(passes.rules.classes)
    for part in passes.run(function):
        found += part
        reporter.still_alive()
        reporter.pause_if_asked()
    return found


def _sum(needs_means: bool, rules: Rules, shards: range) -> Predictions:
    """Sums the teacher's own predictions in a range of shards."""
    as_they_are = np.ones(rules.classes, dtype=np.float32)

    def read(shard: int) -> tuple[LabelRows, ListedClasses | None]:
        return rules.read(shard), rules.listed(shard) if needs_means else None

    found = Predictions.nothing(rules.classes)
    for rows, listed in read_ahead(read, shards, rules.is_remote):
        class_sums, usable = np.zeros(rules.classes), rows.usable
        if listed is not None:
            for part, soft_labels in listed.weighed_in_parts(as_they_are):
                class_sums += soft_labels.taken(usable[part]).sums()
        found += Predictions.of(rows, class_sums, rules.fixed_doubt)
    return found


def _align(ratios: npt.NDArray[np.float32], rules: Rules, shards: range) -> Predictions:
    """Writes the aligned labels and doubts of a range of shards to `rules.rows_uri`, and sums aligned predictions."""

    def read(shard: int) -> tuple[LabelRows, ListedClasses]:
        return read_label_rows(rules.labels_uri, shard, rules.classes), rules.listed(shard)

    found = Predictions.nothing(rules.classes)
    for teacher, listed in read_ahead(read, shards, rules.is_remote):
        labels, doubts = teacher.labels.copy(), teacher.doubts.copy()
        class_sums, usable = np.zeros(rules.classes), rules.counted(teacher).usable
        for part, soft_labels in listed.weighed_in_parts(ratios):
            labels[part], doubts[part] = soft_labels.labels_and_doubts()
            class_sums += soft_labels.taken(usable[part]).sums()
        labels[teacher.labels < 0] = -1
        doubts[~teacher.usable] = NEVER
        write_bytes(join_uri(rules.rows_uri, part_name(teacher.shard)), aligned_parquet(labels, doubts))
        rows = rules.counted(LabelRows(teacher.shard, labels, doubts))
        found += Predictions.of(rows, class_sums, rules.fixed_doubt)
    return found
