"""Prediction files: one Parquet file for each shard, in the shard's row order, with a summary in its footer."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.labeling.predicted_rows import PredictedRows
from workers.labeling.ranking import Ranking, ranked
from workers.specs.base import Frozen
from workers.specs.hygiene import BrokenKind
from workers.specs.prediction import KnownTruth, PredictedBy
from workers.specs.stages import part_name

CLASSES_KEY = b"noisy_student.classes"
"""The model's class names, as a JSON list: `label` and `top_classes` are indices into it."""
_SUMMARY_KEY = b"noisy_student.prediction_summary.1"
"""Ends in the number of the file format: files of an earlier format are written again."""
_PREDICTED_BY_KEY = b"noisy_student.predicted_by"
_TOP5 = 5
_OTHER_CLASS = -1
"""Stands for a dataset's class that the model does not have."""


class PredictionSummary(Frozen):
    """The numbers of one prediction file, so that a rerun need not read its rows."""

    rows: int = Field(ge=0)
    bad_by_kind: dict[BrokenKind, int]
    confidence_sum: float = Field(ge=0)
    """The sum over the rows that are not broken."""
    truth: KnownTruth | None

    @property
    def bad(self) -> int:
        """Broken images of any kind."""
        return sum(self.bad_by_kind.values())


class PredictionTable:
    """Gathers the rows of a shard. `truth_classes` are the dataset's classes; empty for one without labels."""

    def __init__(self, classes: Sequence[str], truth_classes: Sequence[str], top_k: int | None) -> None:
        self._classes = classes
        self._names = pa.array(classes, pa.string())
        self._k = len(classes) if top_k is None else min(top_k, len(classes))
        self._with_names = top_k is not None
        index_of = {name: index for index, name in enumerate(classes)}
        self._truth_names = pa.array(truth_classes, pa.string())
        self._truth_of = np.array([index_of.get(name, _OTHER_CLASS) for name in truth_classes], dtype=np.int64)
        self._parts: list[pa.Table] = []
        self._bad = Counter[BrokenKind]()
        self._confidence_sum = 0.0
        self._truth = KnownTruth()

    def add(self, rows: PredictedRows) -> None:
        """Adds consecutive rows."""
        kept = max(self._k, min(_TOP5, len(self._classes)))
        ranking = ranked(rows.probabilities, rows.broken, kept)
        columns = self._columns(rows, ranking)
        if len(self._truth_of):
            truth = np.array(rows.labels, dtype=np.int64)
            columns["true_label"] = self._truth_names.take(pa.array(truth))
            self._truth += _compared(ranking, self._truth_of[truth])
        self._parts.append(pa.table(columns))
        self._bad.update(error.kind for error in rows.broken.values())
        self._confidence_sum += float(ranking.confidence.sum(dtype=np.float64))

    def finished(self, predicted_by: PredictedBy) -> tuple[pa.Table, PredictionSummary]:
        """The rows so far, with their summary, which the table's metadata holds as well."""
        if not self._parts:
            self.add(_no_rows(len(self._classes)))
        table = pa.concat_tables(self._parts)
        summary = PredictionSummary(
            rows=len(table),
            bad_by_kind=dict(sorted(self._bad.items())),
            confidence_sum=self._confidence_sum,
            truth=self._truth if len(self._truth_of) else None,
        )
        metadata = {
            _SUMMARY_KEY: summary.model_dump_json(),
            _PREDICTED_BY_KEY: predicted_by.model_dump_json(),
            CLASSES_KEY: json.dumps(list(self._classes), ensure_ascii=False),
        }
        return table.replace_schema_metadata(metadata), summary

    def _columns(self, rows: PredictedRows, ranking: Ranking) -> dict[str, pa.Array]:
        is_broken, top = ranking.is_broken, ranking.classes[:, : self._k]
        label = pa.array(ranking.label, mask=is_broken)
        broken = [rows.broken.get(row) for row in range(len(rows.keys))]
        whole = ~is_broken
        best = top[whole].reshape(-1)
        # Of all classes, their names in every row would take more memory than all the rest.
        names = {"top_names": _lists(self._names.take(pa.array(best)), whole, self._k)} if self._with_names else {}
        return {
            "key": pa.array(rows.keys, pa.string()),
            "label": label,
            "label_name": self._names.take(label),
            "confidence": pa.array(ranking.confidence, mask=is_broken),
            "top_classes": _lists(pa.array(best.astype(np.int32)), whole, self._k),
            **names,
            "top_probabilities": _lists(
                pa.array(ranking.probabilities[whole][:, : self._k].reshape(-1)), whole, self._k
            ),
            "broken": pa.array([None if error is None else error.kind.value for error in broken], pa.string()),
            "reason": pa.array([None if error is None else error.reason for error in broken], pa.string()),
        }


def write_predictions(folder_uri: str, shard_index: int, table: pa.Table) -> None:
    """Writes the file of a shard, which marks the shard as done."""
    buffer = io.BytesIO()
    names = ["label_name", "top_names.list.element", "broken", "reason", "true_label"]
    pq.write_table(table, buffer, compression="zstd", use_dictionary=names)
    write_bytes(join_uri(folder_uri, part_name(shard_index)), buffer.getvalue())


def read_summary(folder_uri: str, shard_index: int, predicted_by: PredictedBy) -> PredictionSummary | None:
    """The summary of a prediction file; None if there is none that was made by `predicted_by`."""
    filesystem, path = open_filesystem(join_uri(folder_uri, part_name(shard_index)))
    try:
        with filesystem.open_input_file(path) as source:
            metadata = pq.read_metadata(source).metadata or {}
        if PredictedBy.model_validate_json(metadata[_PREDICTED_BY_KEY]) != predicted_by:
            return None
        return PredictionSummary.model_validate_json(metadata[_SUMMARY_KEY])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValidationError):
        return None


def _compared(ranking: Ranking, truth: npt.NDArray[np.int64]) -> KnownTruth:
    """`truth` is (rows,): the model's class of each row, or _OTHER_CLASS."""
    whole = ~ranking.is_broken
    known = whole & (truth != _OTHER_CLASS)
    hits = ranking.classes[known] == truth[known][:, None]
    return KnownTruth(
        images=int(known.sum()),
        top1_right=int(hits[:, :1].sum()),
        top5_right=int(hits[:, :_TOP5].sum()),
        of_other_classes=int((whole & ~known).sum()),
    )


def _lists(values: pa.Array, whole: npt.NDArray[np.bool_], k: int) -> pa.ListArray:
    """Lists of `k` values for the rows that are `whole`, and nulls for the others."""
    offsets = np.concatenate([[0], np.cumsum(whole.astype(np.int64) * k)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=pa.array(~whole))


def _no_rows(classes: int) -> PredictedRows:
    return PredictedRows(0, [], [], [], np.empty((0, classes), dtype=np.float32), {}, {})


def added(summaries: Iterable[PredictionSummary]) -> PredictionSummary:
    """The sums over several files."""
    rows, confidence_sum = 0, 0.0
    bad = Counter[BrokenKind]()
    truth: KnownTruth | None = None
    for one in summaries:
        rows += one.rows
        confidence_sum += one.confidence_sum
        bad.update(one.bad_by_kind)
        truth = one.truth if truth is None else truth + (one.truth or KnownTruth())
    return PredictionSummary(
        rows=rows, bad_by_kind=dict(sorted(bad.items())), confidence_sum=confidence_sum, truth=truth
    )
