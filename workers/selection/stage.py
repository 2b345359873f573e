"""Runs the select stage: reads narrow columns of the label files, writes one small file a shard. No Ray, no torch."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, write_bytes
from workers.models.bad_data import require_manifest
from workers.selection import selector
from workers.selection.best_rows import Candidates, Cut, first_by_hash, joined, narrowed, split_by_order
from workers.selection.copy_plan import CopyPlan, plan_copies
from workers.selection.duplicates import write_duplicates
from workers.selection.filtering import FilterCounts
from workers.selection.label_rows import LabelRows
from workers.selection.ranges import divided, read_ahead, start_executor
from workers.selection.selector import Choice, Rules, Scan, Selector
from workers.specs.stages import ClassSelection, FailureReason, SelectResult, SelectSpec, part_name
from workers.stage_reporter import StageError, StageReporter

logger = logging.getLogger(__name__)

_GATHERED_AT_MOST = 4_000_000
"""Undecided rows that are compared in memory, 16 bytes each; of more than these another digit is counted first."""

_SELECTION_SCHEMA = pa.schema(
    [pa.field("row", pa.int32(), nullable=False), pa.field("copies", pa.int32(), nullable=False)]
)

Outcome = TypeVar("Outcome")


def run_select(spec: SelectSpec, reporter: StageReporter) -> SelectResult:
    """Writes which rows of each shard the student learns from, and how often.

    Raises StageError(BAD_DATA) where nothing is confident enough, or a label file is missing or damaged.
    """
    manifest = require_manifest(spec.manifest_uri)
    shards = len(manifest.shards)
    reporter.announce(shards, "shards")
    reporter.begin_work()
    rows_per_shard = [shard.rows for shard in manifest.shards]
    duplicates: dict[int, int] = {}
    if spec.settings.duplicates == "drop":
        duplicates = write_duplicates(spec.labels_uri, spec.folder_uri, rows_per_shard, len(spec.classes))
    rules = Rules(spec.settings, len(spec.classes), spec.seed, spec.labels_uri, spec.folder_uri, frozenset(duplicates))
    executor, parts = start_executor(manifest.rows)
    with executor:
        passes = _Passes(executor, divided(shards, parts), rules)
        scans = list(passes.run(_scan))
        counts = sum((one.counts for one in scans), FilterCounts.nothing(rules.classes))
        confident = np.sum([one.confident for one in scans], axis=0)
        plan = plan_copies(confident, spec.settings.max_per_class, spec.settings.fill_up)
        _check_anything_kept(counts, plan, spec)
        cut, chosen = _decided(passes, scans, plan, confident)
        choices = _choices(passes.ranges, scans, plan, cut, chosen, confident)
        done = 0
        for written in passes.run(partial(_write, spec.folder_uri), choices):
            done += written
            reporter.update(done)
            reporter.pause_if_asked()
    reporter.end_work()
    return _result(spec, reporter, counts, plan, confident, sum(duplicates.values()))


class _Passes:
    """Runs a function over all ranges of shards, on the executor's processes, and gives their outcomes in order."""

    def __init__(self, executor: Executor, ranges: list[range], rules: Rules) -> None:
        self._executor = executor
        self.ranges = ranges
        self.rules = rules

    def run(self, function: Callable[..., Outcome], *arguments: list[Choice]) -> Iterator[Outcome]:
        """`function(rules, shards)`, or with one of `arguments` for each range as well."""
        return self._executor.map(partial(function, self.rules), self.ranges, *arguments)


def _decided(
    passes: _Passes, scans: list[Scan], plan: CopyPlan, confident: npt.NDArray[np.int64]
) -> tuple[Cut, Candidates]:
    """How far down each class is kept, and the single rows that this leaves open and that are kept too."""
    cut = Cut.before_counting(passes.rules.classes, plan.kept, confident)
    if cut.is_decided:
        return cut, joined([])
    cut = narrowed(cut, _sum([one.digits for one in scans]))
    while cut.undecided.sum() > _GATHERED_AT_MOST and cut.shift > 0:
        cut = narrowed(cut, _sum(passes.run(partial(_count, cut))))
    sure, tied, wanted = split_by_order(joined(list(passes.run(partial(_candidates, cut)))), cut)
    if not len(tied):
        return cut, sure
    return cut, joined([sure, first_by_hash(tied, selector.hashes_of(tied, passes.rules), wanted)])


def _sum(tables: list[npt.NDArray[np.int32]] | Iterator[npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
    remaining = iter(tables)
    total = next(remaining).copy()
    for table in remaining:
        total += table
    return total


def _choices(
    ranges: list[range],
    scans: list[Scan],
    plan: CopyPlan,
    cut: Cut,
    chosen: Candidates,
    confident: npt.NDArray[np.int64],
) -> list[Choice]:
    before = np.zeros_like(confident)
    choices = []
    for shards, one in zip(ranges, scans, strict=True):
        here = (chosen.shards >= shards.start) & (chosen.shards < shards.stop)
        choices.append(Choice(plan, cut, chosen.taken(here), confident, before))
        before = before + one.confident
    return choices


def _scan(rules: Rules, shards: range) -> Scan:
    return selector.scan(_rows(rules, shards), rules)


def _count(cut: Cut, rules: Rules, shards: range) -> npt.NDArray[np.int32]:
    return selector.count(_rows(rules, shards), rules, cut)


def _candidates(cut: Cut, rules: Rules, shards: range) -> Candidates:
    return selector.candidates(_rows(rules, shards), rules, cut)


def _write(folder_uri: str, rules: Rules, shards: range, choice: Choice) -> int:
    chooser = Selector(rules, choice)
    for rows in _rows(rules, shards):
        kept, copies = chooser.selected(rows)
        write_bytes(join_uri(folder_uri, part_name(rows.shard)), _parquet(kept, copies))
    return len(shards)


def _rows(rules: Rules, shards: range) -> Iterator[LabelRows]:
    return read_ahead(rules.read, shards, is_remote="://" in rules.labels_uri)


def _parquet(rows: npt.NDArray[np.int32], copies: npt.NDArray[np.int32]) -> bytes:
    # Differences of ascending rows take two or three bits, and are written four times as fast as zstd compresses them.
    buffer = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays([pa.array(rows), pa.array(copies)], schema=_SELECTION_SCHEMA),
        buffer,
        compression="none",
        use_dictionary=False,
        column_encoding={"row": "DELTA_BINARY_PACKED", "copies": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        store_schema=False,
    )
    return buffer.getvalue().to_pybytes()


def _check_anything_kept(counts: FilterCounts, plan: CopyPlan, spec: SelectSpec) -> None:
    if plan.kept.any():
        empty = [name for name, kept in zip(spec.classes, plan.kept, strict=True) if not kept]
        if empty:
            logger.warning("no confident image of %d of %d classes: %s", len(empty), len(spec.classes), empty[:20])
        return
    raise StageError(
        FailureReason.BAD_DATA,
        f"no pseudo label is selected: of {counts.rows} rows {counts.bad} are unreadable, {counts.excluded} are "
        f"excluded and {counts.low_confidence} are below min_confidence {spec.settings.min_confidence}",
    )


def _result(
    spec: SelectSpec,
    reporter: StageReporter,
    counts: FilterCounts,
    plan: CopyPlan,
    confident: npt.NDArray[np.int64],
    duplicates: int,
) -> SelectResult:
    numbers = zip(
        spec.classes,
        counts.labeled.tolist(),
        confident.tolist(),
        plan.kept.tolist(),
        plan.copies.tolist(),
        strict=True,
    )
    return SelectResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images_labeled=counts.rows - counts.bad,
        dropped_bad=counts.bad,
        dropped_held_out=counts.excluded - duplicates,
        dropped_duplicates=duplicates,
        dropped_low_confidence=counts.low_confidence,
        dropped_over_cap=int((confident - plan.kept).sum()),
        kept=int(plan.kept.sum()),
        copies=int(plan.copies.sum()),
        classes=tuple(
            ClassSelection(name=name, labeled=labeled, confident=passed, kept=kept, copies=copies)
            for name, labeled, passed, kept, copies in numbers
        ),
    )
