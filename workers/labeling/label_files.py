"""Label files: one Parquet file a shard, in the shard's row order, with its own summary in the footer."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from workers.artifact_io import join_uri, open_filesystem, write_bytes
from workers.data.doubt import confidence_of
from workers.labeling.top_classes import top_classes
from workers.specs.frozen import Frozen
from workers.specs.stages import QUARANTINE_FOLDER, part_name

ALL_CLASSES_UP_TO = 100
"""With so many classes or fewer every probability is kept."""

HELD_OUT = "held_out"
"""Why a row is excluded: the same image is in an evaluation set."""

_ZSTD = ("key", "row", "reason", "top_classes.list.element", "top_probabilities.list.element")
PARQUET_OPTIONS: dict[str, Any] = {
    "use_dictionary": ["label", "excluded", "reason"],
    "compression": dict.fromkeys(_ZSTD, "zstd"),
}
"""The rest, which selection reads for every image, is left as it is in memory; hashes become no smaller anyway."""

_SUMMARY_KEY = b"noisy_student.label_summary.2"
"""With the format's number: files of an earlier one are written anew."""


class LabelSummary(Frozen):
    """The numbers of one label file, so that a rerun need not read its rows."""

    rows: int = Field(ge=0)
    bad: int = Field(ge=0)
    confidence_sum: float = Field(ge=0)
    """Over the rows that are not bad."""


def kept_probabilities(classes: int, top_k: int) -> int:
    """How many probabilities a row keeps."""
    return classes if classes <= ALL_CLASSES_UP_TO else min(top_k, classes)


def label_table(
    keys: Sequence[str],
    hashes: Sequence[bytes],
    excluded: Sequence[str | None],
    probabilities: npt.NDArray[np.float32],
    broken: Mapping[int, str],
    top_k: int,
) -> tuple[pa.Table, LabelSummary]:
    """The rows of a label file. `probabilities` is (rows, classes); the rows of `broken` are ignored and become null.

    `excluded` says of each row why it must not be trained on, or None. Equal probabilities are ordered by class index.
    `doubt` is 1 - confidence, kept by itself because it tells apart what confidence rounds to 1; rows that must not be
    trained on have none. The top
    probabilities are stored in half precision.
    """
    rows, classes = probabilities.shape
    k = kept_probabilities(classes, top_k)
    is_broken = np.zeros(rows, dtype=bool)
    is_broken[list(broken)] = True
    certain = np.where(is_broken[:, None], np.float32(0), probabilities)
    top = top_classes(certain, k)
    top_probabilities = np.take_along_axis(certain, top, axis=1)
    doubt = _doubt(certain, top[:, 0])
    confidence = np.where(is_broken, np.float32(0), confidence_of(doubt))
    summary = LabelSummary(rows=rows, bad=len(broken), confidence_sum=float(confidence.sum(dtype=np.float64)))
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "content_hash": pa.array(hashes, pa.binary(16)),
            "excluded": pa.array(excluded, pa.string()),
            "label": pa.array(top[:, 0].astype(np.int32), mask=is_broken),
            "confidence": pa.array(confidence, mask=is_broken),
            "doubt": pa.array(doubt, mask=is_broken | np.array([why is not None for why in excluded], dtype=bool)),
            "top_classes": _lists(top.astype(np.int32), is_broken),
            "top_probabilities": _lists(top_probabilities.astype(np.float16), is_broken),
        }
    )
    return table.replace_schema_metadata({_SUMMARY_KEY: summary.model_dump_json()}), summary


def joined(parts: Sequence[tuple[pa.Table, LabelSummary]]) -> tuple[pa.Table, LabelSummary]:
    """The label table of consecutive parts of a shard, and its summary. At least one part."""
    summaries = [summary for _, summary in parts]
    summary = LabelSummary(
        rows=sum(one.rows for one in summaries),
        bad=sum(one.bad for one in summaries),
        confidence_sum=sum(one.confidence_sum for one in summaries),
    )
    table = pa.concat_tables([table.replace_schema_metadata(None) for table, _ in parts]).combine_chunks()
    return table.replace_schema_metadata({_SUMMARY_KEY: summary.model_dump_json()}), summary


def write_label_file(folder_uri: str, shard_index: int, table: pa.Table, broken: Mapping[int, str]) -> None:
    """Writes the quarantine file, if there is anything to say, and then the label file, which marks the shard done."""
    if broken:
        rows = sorted(broken)
        quarantine = pa.table(
            {
                "key": table["key"].take(pa.array(rows)),
                "row": pa.array(rows, pa.int32()),
                "reason": pa.array([broken[row] for row in rows], pa.string()),
            }
        )
        write_bytes(join_uri(folder_uri, QUARANTINE_FOLDER, part_name(shard_index)), _parquet(quarantine))
    write_bytes(join_uri(folder_uri, part_name(shard_index)), _parquet(table))


def read_summary(folder_uri: str, shard_index: int) -> LabelSummary | None:
    """The summary of a label file; None where there is no such file, or its footer holds none that can be read."""
    filesystem, path = open_filesystem(join_uri(folder_uri, part_name(shard_index)))
    try:
        with filesystem.open_input_file(path) as source:
            metadata = pq.read_metadata(source).metadata or {}
        return LabelSummary.model_validate_json(metadata[_SUMMARY_KEY])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValidationError):
        return None


def _doubt(probabilities: npt.NDArray[np.float32], label: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The sum of the other classes' probabilities: 1 - p, without what 1 - p loses where p is nearly 1."""
    others = probabilities.copy()
    np.put_along_axis(others, label[:, None], 0, axis=1)
    sums = others.sum(axis=1, dtype=np.float64)
    result: npt.NDArray[np.float32] = np.minimum(sums, 1).astype(np.float32)
    return result


def _lists(values: npt.NDArray[np.generic], is_null: npt.NDArray[np.bool_]) -> pa.FixedSizeListArray:
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(is_null))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **PARQUET_OPTIONS)
    return buffer.getvalue()
