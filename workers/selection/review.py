"""Lists the pseudo labels that people should look at, while the selection has all rows at hand.

The API could sort neither 300 million rows nor the files of a bucket. Here it takes one more column of the pass that
writes the selection, and a column of the generation before, if there was one (docs/decisions/0036).
"""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from workers.artifact_io import exists, join_uri, open_filesystem
from workers.data.arrow_columns import values_of
from workers.data.review_lists import BestRows, ReviewRows, rows_of_a_group, write_review_list
from workers.selection.label_rows import LabelRows, read_labels
from workers.specs.review import EarlierLabels, ReviewOrder
from workers.specs.stages import part_name

_INT32 = np.dtype(np.int32)
_NEVER = np.float32(np.inf)

Listed = dict[ReviewOrder, ReviewRows]
"""The rows of each order. Without an earlier generation there is only `uncertain`."""


class ReviewLister:
    """Collects the rows of a range of shards that are worth a look. The shards are added in order."""

    def __init__(self, earlier: EarlierLabels | None, classes: int) -> None:
        self._earlier = earlier
        self._best = {order: BestRows(classes) for order in get_args(ReviewOrder)}

    def add(self, teacher: LabelRows, kept: npt.NDArray[np.int32]) -> None:
        """Looks at the next shard: what the teacher says of its rows, and which of them were selected."""
        rows, usable = len(teacher.labels), teacher.usable
        selected = _marked(kept, rows)
        self._best["uncertain"].add(teacher.shard, teacher.labels, np.where(usable, -teacher.doubts, _NEVER), selected)
        before = None if self._earlier is None else _labels_before(self._earlier, teacher.shard, rows)
        if before is None:
            return
        labels_before, selected_before = before
        # A row that was broken or held out then has no label to compare with.
        is_changed = usable & (teacher.labels != labels_before) & (labels_before >= 0)
        keys = np.where(is_changed, teacher.doubts, _NEVER)
        self._best["changed"].add(teacher.shard, teacher.labels, keys, selected)
        # The student of the generation before has become the teacher: what it says of the labels that it learned from.
        self._best["disagrees"].add(teacher.shard, labels_before, keys, selected_before)

    def listed(self) -> Listed:
        """What is worth a look in all shards that were added."""
        orders: tuple[ReviewOrder, ...] = ("uncertain",) if self._earlier is None else get_args(ReviewOrder)
        return {order: self._best[order].best() for order in orders}


def write_review_lists(folder_uri: str, parts: list[Listed], classes: int) -> None:
    """Writes the list of each order next to the selection. `parts` are those of all ranges of shards, in order."""
    for order in parts[0] if parts else ():
        rows = ReviewRows.joined([part[order] for part in parts])
        write_review_list(folder_uri, order, rows.best_of_groups(rows_of_a_group(classes)).in_order())


def _labels_before(
    earlier: EarlierLabels, shard: int, rows: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]] | None:
    """The labels of a shard's rows in the generation before, and which of them were selected.

    None where it has not labeled the same rows, because the pool has grown, or where retention has deleted them.
    """
    parts = [join_uri(folder, part_name(shard)) for folder in (earlier.labels_uri, earlier.selection_uri)]
    if not all(map(exists, parts)):
        return None
    labels = read_labels(earlier.labels_uri, shard)
    return (labels, _marked(_kept_rows(parts[1]), rows)) if len(labels) == rows else None


def _kept_rows(uri: str) -> npt.NDArray[np.int32]:
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_file(path) as source:
        return values_of(pq.read_table(source, columns=["row"], use_threads=False)["row"], _INT32)


def _marked(kept: npt.NDArray[np.int32], rows: int) -> npt.NDArray[np.uint8]:
    selected = np.zeros(rows, dtype=np.uint8)
    selected[kept] = 1
    return selected
