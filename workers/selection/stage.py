"""Runs the select stage: reads a few columns of the label files, and writes one small file for each shard. No torch.

Ray is needed only if the selection is materialised.
"""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from workers.artifact_io import delete_folder, join_uri, read_bytes_if_there, write_bytes
from workers.data.shards.materialized_shards import MaterializedIndex
from workers.runtime.bad_data import require_manifest
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.selection import selector
from workers.selection.best_rows import (
    Candidates,
    Cut,
    DigitCounts,
    UsedDigits,
    first_by_hash,
    joined,
    narrowed,
    split_by_order,
)
from workers.selection.class_balance import ClassBalance, balance_classes
from workers.selection.filtering import FilterCounts
from workers.selection.label_rows import shards_with_list
from workers.selection.mark_search import find_marked
from workers.selection.passes import Passes, rows_of
from workers.selection.review import Listed, ReviewLister, write_review_lists
from workers.selection.selection_files import selection_parquet
from workers.selection.selector import Choice, Rules, Scan, Selector, Sifted
from workers.selection.shard_ranges import divided, read_ahead, start_executor
from workers.selection.survey import Survey, survey
from workers.specs.hygiene import LEAKAGE_FILE, LeakageCheck
from workers.specs.reports import FailureReason
from workers.specs.results import ClassSelection, LabelResult, SelectResult
from workers.specs.review import EarlierLabels, MarksApplied
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER, RESULT_FILE, SelectSpec, part_name

logger = logging.getLogger(__name__)

_GATHERED_AT_MOST = 4_000_000
"""The most undecided rows, 16 bytes each, that are compared in memory. If there are more, another digit is counted."""


def run_select(spec: SelectSpec, reporter: StageReporter) -> SelectResult:
    """Writes which rows of each shard the student learns from, and how often (Xie et al., section 3.1).

    Pseudo labels are filtered by confidence, and classes are balanced. Raises StageError(BAD_DATA) if nothing is
    confident enough, or a label file is missing or damaged.
    """
    manifest = require_manifest(spec.manifest_uri)
    shards = len(manifest.shards)
    reporter.announce(shards, "shards")
    reporter.begin_work()
    rules = _rules(spec)
    executor, parts = start_executor(manifest.rows)
    with executor:
        passes = Passes(executor, divided(shards, parts), rules)
        marks, passes = find_marked(spec, passes, reporter)
        surveyed, rules = survey(spec, passes, reporter)
        passes = replace(passes, rules=rules)
        scans, digits = _scanned(passes)
        counts = sum((one.counts for one in scans), FilterCounts.nothing(rules.classes))
        confident = np.sum([one.confident for one in scans], axis=0)
        settings = spec.settings
        balance = balance_classes(
            confident,
            settings.max_per_class,
            settings.fill_up,
            settings.max_copies_per_image,
            settings.share_per_class,
        )
        _check_anything_kept(counts, balance, spec)
        cut = _cut(passes, digits, balance, confident)
        sifted = list(passes.run(partial(_sift, cut)))
        chosen = _chosen([one.undecided for one in sifted], cut, rules)
        choices = _choices(passes.ranges, scans, sifted, balance, chosen, confident)
        kept_per_shard: list[int] = []
        listed: list[Listed] = []
        for kept, worth_a_look in passes.run(partial(_write, spec.folder_uri, spec.earlier), choices):
            kept_per_shard += kept
            listed.append(worth_a_look)
            reporter.update(len(kept_per_shard))
            reporter.pause_if_asked()
        write_review_lists(spec.folder_uri, listed, rules.classes)
    if rules.aligned_uri is not None:
        delete_folder(rules.aligned_uri)
    written = _materialized(spec, kept_per_shard, int(balance.copies.sum()), reporter)
    reporter.end_work()
    return _result(spec, reporter, surveyed, counts, balance, confident, written, marks)


def _rules(spec: SelectSpec) -> Rules:
    drops_near, drops_equal = drops_near_duplicates(spec), spec.settings.duplicates == "drop"
    nothing: frozenset[int] = frozenset()
    return Rules(
        spec.settings,
        len(spec.classes),
        spec.seed,
        spec.labels_uri,
        with_near_duplicates=shards_with_list(spec.labels_uri, NEAR_DUPLICATES_FOLDER) if drops_near else nothing,
        with_duplicates=shards_with_list(spec.labels_uri, DUPLICATES_FOLDER) if drops_equal else nothing,
    )


def drops_near_duplicates(spec: SelectSpec) -> bool:
    """Whether rows that look like an evaluation image are dropped. Labeling has noted what `auto` does."""
    asked = spec.settings.near_duplicates
    if asked != "auto":
        return asked == "drop"
    data = read_bytes_if_there(join_uri(spec.labels_uri, LEAKAGE_FILE))
    return data is not None and LeakageCheck.model_validate_json(data).photographs


def _scanned(passes: Passes) -> tuple[list[Scan], npt.NDArray[np.int32]]:
    """The scan of each range, and the first digits of all. Digits are added as they arrive: a range's take some MiB."""
    scans: list[Scan] = []
    digits = DigitCounts(Cut.unknown(passes.rules.classes))
    for one, used in passes.run(_scan):
        scans.append(one)
        digits.add_counted(used)
    return scans, digits.table


def _cut(passes: Passes, digits: npt.NDArray[np.int32], balance: ClassBalance, confident: npt.NDArray[np.int64]) -> Cut:
    """Where each class is cut. It leaves undecided no more rows than can be compared in memory."""
    cut = Cut.before_counting(passes.rules.classes, balance.kept, confident)
    if cut.is_decided:
        return cut
    cut = narrowed(cut, digits)
    while cut.undecided.sum() > _GATHERED_AT_MOST and cut.shift > 0:
        counts = DigitCounts(cut)
        for used in passes.run(partial(_count, cut)):
            counts.add_counted(used)
        cut = narrowed(cut, counts.table)
    return cut


def _chosen(undecided: list[Candidates], cut: Cut, rules: Rules) -> Candidates:
    """The undecided rows that are in: those of least doubt, and among equals those of the lowest hash."""
    sure, tied, wanted = split_by_order(joined(undecided), cut)
    if not len(tied):
        return sure
    return joined([sure, first_by_hash(tied, selector.hashes_of(tied, rules), wanted)])


def _choices(
    ranges: list[range],
    scans: list[Scan],
    sifted: list[Sifted],
    balance: ClassBalance,
    chosen: Candidates,
    confident: npt.NDArray[np.int64],
) -> list[Choice]:
    before = np.zeros_like(confident)
    by_shard = chosen.by_shard()
    choices = []
    for shards, one, here in zip(ranges, scans, sifted, strict=True):
        choices.append(Choice(balance, here.sure, by_shard.of_shards(shards), confident, before))
        before = before + one.confident
    return choices


def _scan(rules: Rules, shards: range) -> tuple[Scan, UsedDigits]:
    return selector.scan(rows_of(rules, shards), rules)


def _count(cut: Cut, rules: Rules, shards: range) -> UsedDigits:
    return selector.count(rows_of(rules, shards), rules, cut)


def _sift(cut: Cut, rules: Rules, shards: range) -> Sifted:
    return selector.sift(rows_of(rules, shards), rules, cut)


def _write(
    folder_uri: str, earlier: EarlierLabels | None, rules: Rules, shards: range, choice: Choice
) -> tuple[list[int], Listed]:
    """Writes the selection files of a range of shards, and returns how many images of each shard are kept.

    Also returns which rows are worth a look.
    """
    chooser, lister = Selector(rules, choice), ReviewLister(earlier, rules.classes)
    kept_per_shard = []
    for number, (teacher, labels) in enumerate(read_ahead(rules.teacher_and_labels, shards, rules.is_remote)):
        kept, copies = chooser.selected(number, teacher.shard, labels)
        write_bytes(join_uri(folder_uri, part_name(teacher.shard)), selection_parquet(kept, copies))
        lister.add(teacher, kept)
        kept_per_shard.append(len(kept))
    return kept_per_shard, lister.listed()


def _materialized(
    spec: SelectSpec, kept_per_shard: list[int], copies: int, reporter: StageReporter
) -> MaterializedIndex | None:
    if spec.settings.materialize is None:
        return None
    from workers.selection.materialize import materialize  # imports Ray

    return materialize(spec, kept_per_shard, copies, reporter)


def _check_anything_kept(counts: FilterCounts, balance: ClassBalance, spec: SelectSpec) -> None:
    if balance.kept.any():
        empty = [name for name, kept in zip(spec.classes, balance.kept, strict=True) if not kept]
        if empty:
            logger.warning("no confident image of %d of %d classes: %s", len(empty), len(spec.classes), empty[:20])
        return
    raise StageError(
        FailureReason.BAD_DATA,
        f"no pseudo label is selected: of {counts.rows} rows {counts.bad} are unreadable or without a label, "
        f"{counts.held_out} are evaluation images, {counts.near_duplicates} look like one, "
        f"{counts.duplicates} are duplicates, {counts.marked_wrong} have a label that is marked as wrong and "
        f"{counts.low_confidence} are below min_confidence {spec.settings.min_confidence}, "
        f"with {spec.settings.thresholds} thresholds",
    )


def _without_label(spec: SelectSpec) -> int:
    """How many readable images have no label, because imported labels do not name them."""
    result = read_bytes_if_there(join_uri(spec.labels_uri, RESULT_FILE))
    return 0 if result is None else LabelResult.model_validate_json(result).without_label


def _result(
    spec: SelectSpec,
    reporter: StageReporter,
    surveyed: Survey,
    counts: FilterCounts,
    balance: ClassBalance,
    confident: npt.NDArray[np.int64],
    materialized: MaterializedIndex | None,
    marks: MarksApplied | None,
) -> SelectResult:
    without_label = _without_label(spec)
    numbers = {
        "labeled": counts.labeled,
        "confident": confident,
        "kept": balance.kept,
        "copies": balance.copies,
        "threshold": surveyed.thresholds,
        "predicted_share": surveyed.predicted,
        "target_share": surveyed.target,
        "aligned_share": surveyed.aligned,
    }
    of_classes = {name: values.tolist() for name, values in numbers.items() if values is not None}
    return SelectResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images_labeled=counts.rows - counts.bad,
        # Neither has a label. Only the label stage knows which images it could not read.
        dropped_bad=counts.bad - without_label,
        dropped_without_label=without_label,
        dropped_held_out=counts.held_out,
        dropped_near_duplicates=counts.near_duplicates,
        dropped_duplicates=counts.duplicates,
        marks=marks,
        near_duplicates="drop" if drops_near_duplicates(spec) else "keep",
        dropped_low_confidence=counts.low_confidence,
        dropped_over_cap=int((confident - balance.kept).sum()),
        kept=int(balance.kept.sum()),
        copies=int(balance.copies.sum()),
        classes_not_filled_up=0 if balance.lacking is None else int(np.count_nonzero(balance.lacking)),
        copies_lacking=0 if balance.lacking is None else int(balance.lacking.sum()),
        lowest_threshold=None if surveyed.thresholds is None else float(surveyed.thresholds.min()),
        highest_threshold=None if surveyed.thresholds is None else float(surveyed.thresholds.max()),
        distance_before_alignment=surveyed.distance_of(surveyed.predicted),
        distance_after_alignment=surveyed.distance_of(surveyed.aligned),
        classes=tuple(
            ClassSelection(name=name, **{number: values[index] for number, values in of_classes.items()})
            for index, name in enumerate(spec.classes)
        ),
        training_shards=None if materialized is None else len(materialized.rows_per_shard),
        training_shard_bytes=None if materialized is None else materialized.bytes,
    )
