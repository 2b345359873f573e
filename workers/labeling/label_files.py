"""Label files: one Parquet file for each shard, in the shard's row order, with a summary in its footer."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.data.errors import BrokenImage
from workers.labeling.ranking import ranked
from workers.leakage.evaluation_index import NearDuplicate
from workers.specs.base import Frozen
from workers.specs.hygiene import BrokenKind
from workers.specs.labeling import LabelConditions, LabeledBy
from workers.specs.stages import NEAR_DUPLICATES_FOLDER, QUARANTINE_FOLDER, LabelSpec, part_name

ALL_CLASSES_UP_TO = 100
"""With this many classes or fewer, the probabilities of all classes are kept."""

KEPT_MASS = 0.999
"""With more classes, the most probable ones are kept until they hold this share, or `top_k` of them are kept."""
LEAST_KEPT = 0.001
"""Classes of a smaller probability are not kept: each would take three bytes, and spreading is as good for them."""
_KEPT_AT_LEAST = 5
"""What top-5 accuracy needs."""
NO_CLASS = -1
"""Fills the list of a row that keeps fewer classes than others."""

HELD_OUT = "held_out"
"""Why a row is excluded: the same image is in an evaluation set."""
NO_LABEL = "no_label"
"""Why a row is excluded: the imported labels have none for it."""

_ZSTD = ("key", "row", "reason", "evaluation_key", "top_classes.list.element", "top_probabilities.list.element")
PARQUET_OPTIONS: dict[str, object] = {
    "use_dictionary": ["label", "excluded", "kind", "reason", "evaluation_dataset"],
    "compression": dict.fromkeys(_ZSTD, "zstd"),
}
"""The other columns are neither encoded nor compressed: selection reads them for every image, and hashes would become
no smaller."""

_SUMMARY_KEY = b"noisy_student.label_summary.5"
"""Ends in the number of the file format: files of an earlier format are written again."""
_LABELED_BY_KEY = b"noisy_student.labeled_by"
_CONDITIONS_KEY = b"noisy_student.label_conditions"


class LabelSummary(Frozen):
    """The numbers of one label file, so that a rerun need not read its rows."""

    rows: int = Field(ge=0)
    bad_by_kind: dict[BrokenKind, int]
    held_out: int = Field(ge=0)
    near_duplicates: int = Field(ge=0)
    without_label: int = Field(default=0, ge=0)
    """Readable images that imported labels do not name."""
    without_look: int = Field(default=0, ge=0)
    """Readable images without a perceptual hash: they are too flat."""
    confidence_sum: float = Field(ge=0)
    """The sum over the rows that are not bad."""

    @property
    def bad(self) -> int:
        """Broken images of any kind."""
        return sum(self.bad_by_kind.values())


@dataclass(frozen=True)
class Hygiene:
    """What is known about the rows of a part of a shard, apart from their labels. Rows are counted within the part."""

    content_hashes: Sequence[bytes]
    excluded: Sequence[str | None]
    """Why each row must not be trained on; None if it may be."""
    broken: Mapping[int, BrokenImage]
    """By row."""
    perceptual_hashes: Mapping[int, int]
    """By row. Broken and flat pictures have none."""
    near_duplicates: Sequence[NearDuplicate] = ()
    without_label: frozenset[int] = frozenset()
    """The rows for which imported labels have none."""


def kept_probabilities(classes: int, top_k: int) -> int:
    """How many probabilities a label file keeps for each row: all of them for few classes, else at most `top_k`."""
    return classes if classes <= ALL_CLASSES_UP_TO else min(top_k, classes)


def label_table(
    keys: Sequence[str], hygiene: Hygiene, probabilities: npt.NDArray[np.float32], top_k: int
) -> tuple[pa.Table, LabelSummary]:
    """The rows of a label file, and their summary: soft pseudo labels (Xie et al., section 2).

    `probabilities` is (rows, classes); those of broken rows, and of rows without a label, are ignored. Such a row has
    nulls, and zeros in its lists: of lists of a fixed size some pyarrow releases write no null (20, 23, 24) or read
    none (25). Equal probabilities are ordered by class index. With many classes, a list ends in NO_CLASS and
    zeros once enough is kept: what remains belongs to the classes that are not listed. `doubt` is 1 - confidence,
    stored by itself because it tells apart what confidence rounds to 1; rows that must not be trained on have none. Top
    probabilities are in half precision.
    """
    rows, classes = probabilities.shape
    k = kept_probabilities(classes, top_k)
    unlabeled = hygiene.without_label - hygiene.broken.keys()
    found = ranked(probabilities, {*hygiene.broken, *unlabeled}, k)
    has_none, confidence = found.is_broken, found.confidence
    top, top_probabilities = found.classes, found.probabilities
    if k < classes:
        enough = _enough(top_probabilities) & ~has_none[:, None]
        top = np.where(enough, NO_CLASS, top)
        top_probabilities = np.where(enough, np.float32(0), top_probabilities)
    is_excluded = np.array([why is not None for why in hygiene.excluded], dtype=bool)
    summary = LabelSummary(
        rows=rows,
        bad_by_kind=dict(Counter(error.kind for error in hygiene.broken.values())),
        held_out=sum(why == HELD_OUT for row, why in enumerate(hygiene.excluded) if row not in hygiene.broken),
        without_label=len(unlabeled),
        near_duplicates=len(hygiene.near_duplicates),
        without_look=rows - len(hygiene.broken) - len(hygiene.perceptual_hashes),
        confidence_sum=float(confidence.sum(dtype=np.float64)),
    )
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "content_hash": pa.array(hygiene.content_hashes, pa.binary(16)),
            "perceptual_hash": pa.array([hygiene.perceptual_hashes.get(row) for row in range(rows)], pa.uint64()),
            "excluded": pa.array(hygiene.excluded, pa.string()),
            "label": pa.array(found.label, mask=has_none),
            "confidence": pa.array(confidence, mask=has_none),
            "doubt": pa.array(found.doubt, mask=has_none | is_excluded),
            "top_classes": _lists(top.astype(np.int32)),
            "top_probabilities": _lists(top_probabilities.astype(np.float16)),
        }
    )
    return table.replace_schema_metadata({_SUMMARY_KEY: summary.model_dump_json()}), summary


def joined(parts: Sequence[tuple[pa.Table, LabelSummary]]) -> tuple[pa.Table, LabelSummary]:
    """Joins consecutive parts of a shard, at least one, to its label table and summary."""
    summaries = [summary for _, summary in parts]
    summary = LabelSummary(
        rows=sum(one.rows for one in summaries),
        bad_by_kind=dict(sum((Counter(one.bad_by_kind) for one in summaries), Counter[BrokenKind]())),
        held_out=sum(one.held_out for one in summaries),
        without_label=sum(one.without_label for one in summaries),
        near_duplicates=sum(one.near_duplicates for one in summaries),
        without_look=sum(one.without_look for one in summaries),
        confidence_sum=sum(one.confidence_sum for one in summaries),
    )
    table = pa.concat_tables([table.replace_schema_metadata(None) for table, _ in parts]).combine_chunks()
    return table.replace_schema_metadata({_SUMMARY_KEY: summary.model_dump_json()}), summary


def conditions_of(spec: LabelSpec) -> LabelConditions:
    """What the label files of a stage depend on beside who labels."""
    return LabelConditions(
        evaluation_manifest_uris=tuple(sorted(each.manifest_uri for each in spec.evaluation_images)),
        near_duplicate_distance=spec.near_duplicate_distance,
        top_k=spec.top_k,
    )


def write_label_file(
    folder_uri: str,
    shard_index: int,
    table: pa.Table,
    broken: Mapping[int, BrokenImage],
    near_duplicates: Sequence[NearDuplicate] = (),
    labeled_by: LabeledBy | None = None,
    conditions: LabelConditions | None = None,
) -> None:
    """Writes the lists of broken images and near duplicates, then the label file, which marks the shard as done.

    The footer says by which models it was `labeled_by`, and under which `conditions`.
    """
    name = part_name(shard_index)
    if broken:
        write_bytes(join_uri(folder_uri, QUARANTINE_FOLDER, name), _parquet(_quarantine(table, broken)))
    if near_duplicates:
        listed = _near_duplicates(table, near_duplicates)
        write_bytes(join_uri(folder_uri, NEAR_DUPLICATES_FOLDER, name), _parquet(listed))
    said = {_LABELED_BY_KEY: labeled_by, _CONDITIONS_KEY: conditions}
    footer = {key: value.model_dump_json() for key, value in said.items() if value is not None}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **footer})
    write_bytes(join_uri(folder_uri, name), _parquet(table))


def read_summary(
    folder_uri: str,
    shard_index: int,
    labeled_by: LabeledBy | None = None,
    conditions: LabelConditions | None = None,
) -> LabelSummary | None:
    """The summary of a label file; None if there is no such file, or its footer has no readable summary.

    With `labeled_by` also None if the file was labeled by other models, in other views or at another temperature, or
    by a version that did not record them. The same holds for `conditions`.
    """
    filesystem, path = open_filesystem(join_uri(folder_uri, part_name(shard_index)))
    try:
        with filesystem.open_input_file(path) as source:
            metadata = pq.read_metadata(source).metadata or {}
        if labeled_by is not None and LabeledBy.model_validate_json(metadata[_LABELED_BY_KEY]) != labeled_by:
            return None
        if conditions is not None and LabelConditions.model_validate_json(metadata[_CONDITIONS_KEY]) != conditions:
            return None
        return LabelSummary.model_validate_json(metadata[_SUMMARY_KEY])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValidationError):
        return None


def _quarantine(table: pa.Table, broken: Mapping[int, BrokenImage]) -> pa.Table:
    rows = sorted(broken)
    return pa.table(
        {
            "key": table["key"].take(pa.array(rows)),
            "row": pa.array(rows, pa.int32()),
            "kind": pa.array([broken[row].kind.value for row in rows], pa.string()),
            "reason": pa.array([broken[row].reason for row in rows], pa.string()),
        }
    )


def _near_duplicates(table: pa.Table, found: Sequence[NearDuplicate]) -> pa.Table:
    rows = pa.array([each.row for each in found], pa.int32())
    return pa.table(
        {
            "key": table["key"].take(rows),
            "row": rows,
            "distance": pa.array([each.distance for each in found], pa.int32()),
            "evaluation_dataset": pa.array([each.evaluation_dataset for each in found], pa.string()),
            "evaluation_key": pa.array([each.evaluation_key for each in found], pa.string()),
        }
    )


def _enough(top_probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The places of each row that need not be kept, because those before hold enough of the probability."""
    enough = np.zeros(top_probabilities.shape, dtype=bool)
    enough[:, 1:] = np.cumsum(top_probabilities[:, :-1], axis=1) >= KEPT_MASS
    enough |= top_probabilities < LEAST_KEPT
    enough[:, :_KEPT_AT_LEAST] = False
    return enough


def _lists(values: npt.NDArray[np.generic]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **PARQUET_OPTIONS)
    return buffer.getvalue()
