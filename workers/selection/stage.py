"""Runs the select stage: reads narrow columns of the label files, writes one small file a shard. No Ray, no torch."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, write_bytes
from workers.data.errors import ShardReadError
from workers.data.hashes import read_hashes
from workers.models.bad_data import require_manifest
from workers.selection.exact_first import OrderedRows
from workers.selection.filtering import FilterCounts
from workers.selection.label_rows import read_label_rows
from workers.selection.selector import Chooser, Decision, Rules, Scan, Totals, boundary, decide, scan
from workers.specs.stages import ClassSelection, FailureReason, SelectResult, SelectSpec, part_name
from workers.stage_reporter import StageError, StageReporter

logger = logging.getLogger(__name__)

_THREADS = 8
_SHARDS_AT_A_TIME = 32
"""Bounds how far the threads run ahead of the merge."""

Item = TypeVar("Item")


def run_select(spec: SelectSpec, reporter: StageReporter) -> SelectResult:
    """Writes which rows of each shard the student learns from, and how often.

    Raises StageError(BAD_DATA) where nothing is confident enough, or a label file is missing or damaged.
    """
    shards = range(len(require_manifest(spec.manifest_uri).shards))
    reporter.announce(len(shards), "shards")
    reporter.begin_work()
    rules = Rules(spec.settings, len(spec.classes), spec.seed, _held_out_hashes(spec))
    with ThreadPoolExecutor(_THREADS) as threads:
        totals = Totals(rules.classes)
        for one in _mapped(threads, partial(_scan_shard, spec, rules), shards):
            totals.add(one)
        decision = decide(totals, spec.settings)
        _check_anything_kept(totals.counts, decision, spec)
        gathered = list(_mapped(threads, partial(_boundary_of_shard, spec, rules, decision), shards))
        chooser = Chooser(rules, decision, gathered)
        written = _mapped(threads, partial(_write_selection, spec, rules, chooser), shards)
        for done, _ in enumerate(written, start=1):
            reporter.update(done)
    reporter.end_work()
    return _result(spec, reporter, totals.counts, decision)


def _held_out_hashes(spec: SelectSpec) -> npt.NDArray[np.bytes_]:
    try:
        held_out = [read_hashes(uri) for uri in spec.held_out_hashes_uris]
    except (ShardReadError, FileNotFoundError) as error:
        raise StageError(FailureReason.BAD_DATA, f"held-out hashes cannot be read: {error}") from error
    return np.unique(np.concatenate(held_out)) if held_out else np.empty(0, dtype="S16")


def _scan_shard(spec: SelectSpec, rules: Rules, shard: int) -> Scan:
    return scan(read_label_rows(spec.labels_uri, shard, rules.classes), rules)


def _boundary_of_shard(
    spec: SelectSpec, rules: Rules, decision: Decision, shard: int
) -> tuple[OrderedRows, OrderedRows]:
    return boundary(read_label_rows(spec.labels_uri, shard, rules.classes), rules, decision)


def _write_selection(spec: SelectSpec, rules: Rules, chooser: Chooser, shard: int) -> None:
    rows, copies = chooser.copies(read_label_rows(spec.labels_uri, shard, rules.classes))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"row": rows, "copies": copies}), buffer, compression="zstd")
    write_bytes(join_uri(spec.folder_uri, part_name(shard)), buffer.getvalue())


def _mapped(threads: ThreadPoolExecutor, function: Callable[[int], Item], shards: Iterable[int]) -> Iterator[Item]:
    """Like threads.map, which would hold the results of all shards at once."""
    remaining = iter(shards)
    while chunk := list(islice(remaining, _SHARDS_AT_A_TIME)):
        yield from threads.map(function, chunk)


def _check_anything_kept(counts: FilterCounts, decision: Decision, spec: SelectSpec) -> None:
    if decision.plan.kept.any():
        empty = [name for name, kept in zip(spec.classes, decision.plan.kept, strict=True) if not kept]
        if empty:
            logger.warning("no confident image of %d of %d classes: %s", len(empty), len(spec.classes), empty[:20])
        return
    raise StageError(
        FailureReason.BAD_DATA,
        f"no pseudo label is selected: of {counts.rows} rows {counts.bad} are unreadable, {counts.held_out} are held "
        f"out and {counts.low_confidence} are below min_confidence {spec.settings.min_confidence}",
    )


def _result(spec: SelectSpec, reporter: StageReporter, counts: FilterCounts, decision: Decision) -> SelectResult:
    plan = decision.plan
    numbers = zip(
        spec.classes,
        counts.labeled.tolist(),
        counts.confident.tolist(),
        plan.kept.tolist(),
        plan.copies.tolist(),
        strict=True,
    )
    return SelectResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        images_labeled=counts.rows - counts.bad,
        dropped_bad=counts.bad,
        dropped_held_out=counts.held_out,
        dropped_low_confidence=counts.low_confidence,
        dropped_over_cap=int((counts.confident - plan.kept).sum()),
        kept=int(plan.kept.sum()),
        copies=int(plan.copies.sum()),
        classes=tuple(
            ClassSelection(name=name, labeled=labeled, confident=confident, kept=kept, copies=copies)
            for name, labeled, confident, kept, copies in numbers
        ),
    )
