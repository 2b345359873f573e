"""Reads label files together with the selection: each image's label, whether the student learns from it, or why not.

Some thousands of rows are in memory at a time, whatever the size of a shard.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, list_files, open_filesystem
from workers.data.alignment import read_alignment
from workers.data.arrow_columns import filled, values_of
from workers.data.confidence import confidence_of, largest_doubts
from workers.data.errors import ShardReadError, read_error
from workers.data.marks import MarkedRows, SelectionMarks
from workers.data.soft_labels import SOFT_LABEL_COLUMNS, ListedClasses
from workers.specs.label_export import LabelFilter, LabelSource
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER, part_name

_COLUMNS = ["key", "content_hash", "excluded", "label", "confidence", "doubt", *SOFT_LABEL_COLUMNS]
_BATCH_ROWS = 16_384
_INT32, _FLOAT32 = np.dtype(np.int32), np.dtype(np.float32)
_NO_DOUBT = np.float32(2)
"""Of rows that must not be learned from."""

BROKEN, NEAR_DUPLICATE, DUPLICATE = "broken", "near_duplicate", "duplicate"
MARKED_WRONG, LOW_CONFIDENCE, NOT_AMONG_THE_BEST = "marked_wrong", "low_confidence", "not_among_the_best"
"""Why a row is not selected, apart from what label files exclude. The last: its class has enough that are surer."""

LABEL_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("label", pa.int32()),
        ("label_name", pa.string()),
        ("confidence", pa.float32()),
        ("label_from", pa.string()),
        ("selected", pa.bool_()),
        ("copies", pa.int32()),
        ("not_selected_because", pa.string()),
        ("teacher_label", pa.int32()),
        ("teacher_confidence", pa.float32()),
        ("top_classes", pa.list_(pa.int32())),
        ("top_probabilities", pa.list_(pa.float32())),
        ("content_hash", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("run", pa.string()),
        ("generation", pa.int32()),
        ("teachers", pa.string()),
    ]
)
"""The columns of an export. `label` and `confidence` are what selection went by, which alignment and people's marks may
have changed. `label_from` is TEACHER or PERSON."""
TEACHER, PERSON = "teacher", "person"
_NO_MARKS = MarkedRows.of_rows([])


@dataclass(frozen=True)
class _Facts:
    """What is known of some rows beside their label file. Arrays have the shape (rows,)."""

    copies: npt.NDArray[np.int32]
    """How often the student sees the row in an epoch; 0 if it is not selected."""
    near: npt.NDArray[np.bool_]
    """Rows that are dropped because they look like an evaluation image."""
    equal: npt.NDArray[np.bool_]
    """Rows that are dropped because they equal an earlier one."""
    marked: MarkedRows
    """Rows that people have marked, counted within these."""


class PoolLabels:
    """The labels of a generation, shard by shard."""

    def __init__(self, source: LabelSource) -> None:
        """Reads what holds for all shards. Raises ShardReadError for a damaged alignment."""
        self.source = source
        self._names = pa.array(source.classes, pa.string())
        self._largest_doubts = largest_doubts(np.array(source.min_confidences))
        self._ratios: npt.NDArray[np.float32] | None = None
        self._near, self._equal = frozenset[str](), frozenset[str]()
        self._marks = None if source.selection_uri is None else SelectionMarks.of(source.selection_uri)
        if source.selection_uri is not None:
            ratios = read_alignment(source.selection_uri, len(source.classes))
            self._ratios = None if (ratios == 1).all() else ratios
        if source.drops_near_duplicates:
            self._near = frozenset(list_files(join_uri(source.labels_uri, NEAR_DUPLICATES_FOLDER)))
        if source.drops_duplicates:
            self._equal = frozenset(list_files(join_uri(source.labels_uri, DUPLICATES_FOLDER)))

    def batches(self, shard: int, wanted: LabelFilter) -> Iterator[pa.RecordBatch]:
        """Yields the wanted rows of a shard in order, each batch with LABEL_SCHEMA.

        Raises FileNotFoundError where a file is gone, and ShardReadError where it is damaged.
        """
        uri = join_uri(self.source.labels_uri, part_name(shard))
        with _opened(uri) as file:
            rows = file.metadata.num_rows
            copies = self._copies(shard, rows)
            near = self._listed(shard, NEAR_DUPLICATES_FOLDER, self._near, rows)
            equal = self._listed(shard, DUPLICATES_FOLDER, self._equal, rows)
            marked = (None if self._marks is None else self._marks.of_shard(shard)) or _NO_MARKS
            start = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=_COLUMNS, use_threads=False):
                here = slice(start, start + len(batch))
                facts = _Facts(copies[here], near[here], equal[here], marked.within(start, start + len(batch)))
                table = self._batch(pa.Table.from_batches([batch]), shard, start, facts)
                yield table.filter(_mask(table, wanted))
                start += len(batch)

    def _batch(self, read: pa.Table, shard: int, start: int, facts: "_Facts") -> pa.RecordBatch:
        labels, doubts = filled(read["label"], -1, _INT32), filled(read["doubt"], float(_NO_DOUBT), _FLOAT32)
        listed = facts.marked.applied_to(ListedClasses.of(read))
        is_broken, teacher = labels < 0, labels
        confidence = filled(read["confidence"], 0, _FLOAT32)
        if self._ratios is not None:
            labels, doubts, confidence = _aligned(listed, self._ratios, labels, doubts, confidence)
        labels, doubts, confidence = _as_given(facts.marked, labels, doubts, confidence)
        label_from = np.full(len(labels), TEACHER, dtype=object)
        label_from[facts.marked.given[0]] = PERSON
        label = pa.array(labels, mask=is_broken)
        count, source = len(labels), self.source
        columns = {
            "key": read["key"],
            "label": label,
            "label_name": self._names.take(label),
            "confidence": pa.array(confidence, mask=is_broken),
            "label_from": pa.array(label_from, pa.string(), mask=is_broken),
            "selected": pa.array(facts.copies > 0),
            "copies": pa.array(facts.copies),
            "not_selected_because": self._reasons(read, labels, doubts, facts),
            "teacher_label": pa.array(teacher, mask=is_broken),
            "teacher_confidence": read["confidence"],
            **_lists(listed, is_broken),
            "content_hash": pa.array([value.hex() for value in read["content_hash"].to_pylist()], pa.string()),
            "shard": pa.array(np.full(count, shard, dtype=np.int32)),
            "row": pa.array(np.arange(start, start + count, dtype=np.int32)),
            "run": pa.repeat(source.run_id, count),
            "generation": pa.array(np.full(count, source.generation, dtype=np.int32)),
            "teachers": pa.repeat(" ".join(source.teachers), count),
        }
        arrays = [
            column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns.values()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=LABEL_SCHEMA)

    def _reasons(
        self, read: pa.Table, labels: npt.NDArray[np.int32], doubts: npt.NDArray[np.float32], facts: "_Facts"
    ) -> pa.Array:
        """Why each row is not selected: the first reason that holds, in the order in which selection looks at them."""
        excluded = np.array(read["excluded"].to_pylist(), dtype=object)
        too_unsure = doubts > np.take(self._largest_doubts, labels)
        reasons = np.where(too_unsure, LOW_CONFIDENCE, NOT_AMONG_THE_BEST).astype(object)
        if self.source.selection_uri is None:
            reasons[:] = None  # nothing has been selected yet
        reasons[facts.marked.left_out] = MARKED_WRONG
        reasons[facts.equal] = DUPLICATE
        reasons[facts.near] = NEAR_DUPLICATE
        reasons = np.where(excluded != None, excluded, reasons)  # noqa: E711 (element by element)
        reasons[labels < 0] = BROKEN
        reasons[facts.copies > 0] = None
        return pa.array(reasons, pa.string())

    def _copies(self, shard: int, rows: int) -> npt.NDArray[np.int32]:
        copies = np.zeros(rows, dtype=np.int32)
        if self.source.selection_uri is not None:
            with _opened(join_uri(self.source.selection_uri, part_name(shard))) as file:
                table = file.read(use_threads=False)
                copies[values_of(table["row"], _INT32)] = values_of(table["copies"], _INT32)
        return copies

    def _listed(self, shard: int, folder: str, files: frozenset[str], rows: int) -> npt.NDArray[np.bool_]:
        """The rows that labeling has listed in a folder of the label files, as a mask."""
        is_listed = np.zeros(rows, dtype=bool)
        if part_name(shard) in files:
            with _opened(join_uri(self.source.labels_uri, folder, part_name(shard))) as file:
                is_listed[file.read(columns=["row"], use_threads=False)["row"].to_numpy()] = True
        return is_listed


def _aligned(
    listed: ListedClasses,
    ratios: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    doubts: npt.NDArray[np.float32],
    confidence: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The labels, doubts and confidences of rows that are not broken, as alignment changes them."""
    found, sure = np.empty_like(labels), np.empty_like(doubts)
    for rows, soft in listed.weighed_in_parts(ratios):
        found[rows], sure[rows] = soft.labels_and_doubts()
    whole = labels >= 0
    may_be_learned_from = doubts < _NO_DOUBT
    return (
        np.where(whole, found, labels),
        np.where(may_be_learned_from, sure, doubts),
        np.where(whole, confidence_of(np.where(whole, sure, np.float32(1))), confidence),
    )


def _as_given(
    marked: MarkedRows,
    labels: npt.NDArray[np.int32],
    doubts: npt.NDArray[np.float32],
    confidence: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The labels, doubts and confidences with the classes that people gave, which count in full."""
    rows, given = marked.given
    if not len(rows):
        return labels, doubts, confidence
    labels, doubts, confidence = labels.copy(), doubts.copy(), confidence.copy()
    labels[rows], confidence[rows] = given, 1
    doubts[rows] = np.where(doubts[rows] < _NO_DOUBT, np.float32(0), doubts[rows])
    return labels, doubts, confidence


def _lists(listed: ListedClasses, is_broken: npt.NDArray[np.bool_]) -> dict[str, pa.ListArray]:
    """The listed classes of each row and their probabilities, without what fills short lists."""
    is_listed = (listed.classes >= 0) & ~is_broken[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(is_listed.sum(axis=1))]), pa.int32())
    empty = pa.array(is_broken)
    classes = pa.array(listed.classes[is_listed].astype(np.int32))
    probabilities = pa.array(listed.probabilities[is_listed].astype(np.float32))
    return {
        "top_classes": pa.ListArray.from_arrays(offsets, classes, mask=empty),
        "top_probabilities": pa.ListArray.from_arrays(offsets, probabilities, mask=empty),
    }


def _mask(batch: pa.RecordBatch, wanted: LabelFilter) -> pa.Array:
    selected = batch["selected"].to_numpy(zero_copy_only=False)
    mask = selected if wanted.which == "selected" else np.ones(len(batch), dtype=bool)
    if wanted.min_confidence > 0:
        confidence = batch["confidence"].to_numpy(zero_copy_only=False)
        mask = mask & (np.nan_to_num(confidence, nan=-1.0) >= np.float32(wanted.min_confidence))
    return pa.array(mask)


@contextmanager
def _opened(uri: str) -> Iterator[pq.ParquetFile]:
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            yield pq.ParquetFile(source)
    except (FileNotFoundError, ShardReadError):
        raise
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise read_error(uri, "cannot be read", error) from error
