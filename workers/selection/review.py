"""The pass after the selection: lists the pseudo labels that people should look at, while all rows are at hand.

The API could sort neither 300 million rows nor the files of a bucket. Here it takes one more pass over two columns, and
a third column of the generation before, if there was one (docs/decisions/0036).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from workers.artifact_io import exists, join_uri, open_filesystem
from workers.data.arrow_columns import values_of
from workers.data.review_lists import BestRows, ReviewRows, rows_of_a_group, write_review_list
from workers.runtime.stage_reporter import StageReporter
from workers.selection.label_rows import read_label_rows, read_labels
from workers.selection.passes import Passes
from workers.selection.selector import Rules
from workers.selection.shard_ranges import read_ahead
from workers.specs.review import EarlierLabels, ReviewOrder
from workers.specs.stages import SelectSpec, part_name

_INT32 = np.dtype(np.int32)
_NEVER = np.float32(np.inf)


def write_review_lists(spec: SelectSpec, passes: Passes, reporter: StageReporter) -> None:
    """Writes the list of each order next to the selection. Without an earlier generation only `uncertain` is written.

    Raises StageError(BAD_DATA) for a damaged label file.
    """
    found: dict[ReviewOrder, list[ReviewRows]] = {}
    for part in passes.run(partial(_listed, spec.folder_uri, spec.earlier)):
        for order, rows in part.items():
            found.setdefault(order, []).append(rows)
        reporter.still_alive()
        reporter.pause_if_asked()
    most = rows_of_a_group(passes.rules.classes)
    for order, parts in found.items():
        write_review_list(spec.folder_uri, order, ReviewRows.joined(parts).best_of_groups(most))


@dataclass(frozen=True)
class _Shard:
    labels: npt.NDArray[np.int32]
    doubts: npt.NDArray[np.float32]
    usable: npt.NDArray[np.bool_]
    selected: npt.NDArray[np.uint8]
    earlier_labels: npt.NDArray[np.int32] | None
    earlier_selected: npt.NDArray[np.uint8] | None
    """None where the generation before has not labeled the same rows."""


def _listed(
    folder_uri: str, earlier: EarlierLabels | None, rules: Rules, shards: Sequence[int]
) -> dict[ReviewOrder, ReviewRows]:
    best = {order: BestRows(rules.classes) for order in get_args(ReviewOrder)}
    read = partial(_read, folder_uri, earlier, rules)
    for shard, here in zip(shards, read_ahead(read, shards, rules.is_remote), strict=True):
        best["uncertain"].add(shard, here.labels, np.where(here.usable, -here.doubts, _NEVER), here.selected)
        if here.earlier_labels is None or here.earlier_selected is None:
            continue
        # A row that was broken or held out then has no label to compare with.
        is_changed = here.usable & (here.labels != here.earlier_labels) & (here.earlier_labels >= 0)
        keys = np.where(is_changed, here.doubts, _NEVER)
        best["changed"].add(shard, here.labels, keys, here.selected)
        # The student of the generation before has become the teacher: what it says of the labels that it learned from.
        best["disagrees"].add(shard, here.earlier_labels, keys, here.earlier_selected)
    orders: tuple[ReviewOrder, ...] = ("uncertain",) if earlier is None else get_args(ReviewOrder)
    return {order: best[order].best() for order in orders}


def _read(folder_uri: str, earlier: EarlierLabels | None, rules: Rules, shard: int) -> _Shard:
    rows = rules.without_dropped(read_label_rows(rules.labels_uri, shard, rules.classes))
    number = len(rows.labels)
    earlier_labels = earlier_selected = None
    if earlier is not None and exists(join_uri(earlier.labels_uri, part_name(shard))):
        before = read_labels(earlier.labels_uri, shard)
        if len(before) == number and exists(join_uri(earlier.selection_uri, part_name(shard))):
            earlier_labels, earlier_selected = before, _selected(earlier.selection_uri, shard, number)
    selected = _selected(folder_uri, shard, number)
    return _Shard(rows.labels, rows.doubts, rows.usable, selected, earlier_labels, earlier_selected)


def _selected(selection_uri: str, shard: int, rows: int) -> npt.NDArray[np.uint8]:
    filesystem, path = open_filesystem(join_uri(selection_uri, part_name(shard)))
    with filesystem.open_input_file(path) as source:
        kept = values_of(pq.read_table(source, columns=["row"], use_threads=False)["row"], _INT32)
    selected = np.zeros(rows, dtype=np.uint8)
    selected[kept] = 1
    return selected
