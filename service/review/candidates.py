"""Finds the rows that a page is about: in the list that selection wrote, or else in a sample of the label files."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.review.generations import LabelsOfGeneration, ReviewedGeneration
from workers.data.pseudo_labels import read_copies, read_sample
from workers.data.review_lists import ReviewRows, read_review_list
from workers.specs.review import ReviewOrder

_SAMPLED_SHARDS = 16
_SAMPLED_ROWS = 200_000
"""The most rows that the API looks at itself, which takes it a tenth of a second."""


@dataclass(frozen=True)
class ReviewCandidates:
    """Rows in the order of a page, and what is to be said of them."""

    rows: ReviewRows
    made_from: Literal["list", "sample"]
    notes: tuple[str, ...] = ()


def find_candidates(reviewed: ReviewedGeneration, order: ReviewOrder) -> ReviewCandidates:
    """Returns the rows of all classes. Raises ShardReadError for a damaged file, OSError, FileNotFoundError."""
    newer, other = _compared(reviewed, order)
    if order != "uncertain" and (newer is None or other is None):
        return ReviewCandidates(ReviewRows.nothing(), "list", (_nothing_to_compare(reviewed, order),))
    selection_uri = None if newer is None else newer.selection_uri
    listed = None if selection_uri is None else read_review_list(selection_uri, order)
    if listed is not None:
        return ReviewCandidates(listed, "list")
    return _sampled(reviewed, order, newer, other)


def _compared(
    reviewed: ReviewedGeneration, order: ReviewOrder
) -> tuple[LabelsOfGeneration | None, LabelsOfGeneration | None]:
    """The labels by which the order goes, whose selection has the list, and those that they are compared with."""
    match order:
        case "uncertain":
            return reviewed.labels, None
        case "changed":
            return reviewed.labels, reviewed.before
        case "disagrees":
            return reviewed.after, reviewed.labels


def _nothing_to_compare(reviewed: ReviewedGeneration, order: ReviewOrder) -> str:
    if order == "disagrees":
        return reviewed.why_no_student or "The student has given no labels."
    return reviewed.why_none_before or "There are no earlier labels."


def _sampled(
    reviewed: ReviewedGeneration,
    order: ReviewOrder,
    newer: LabelsOfGeneration | None,
    other: LabelsOfGeneration | None,
) -> ReviewCandidates:
    assert newer is not None, "find_candidates has found that there are labels"
    shards = np.unique(np.linspace(0, reviewed.shards - 1, _SAMPLED_SHARDS).astype(int)).tolist()
    most = _SAMPLED_ROWS // len(shards)
    parts = []
    for shard in shards:
        rows = read_sample(newer.labels_uri, shard, most)
        if other is None:
            rows = ReviewRows(rows.shards, rows.rows, rows.labels, -rows.keys, rows.selected)
        else:
            rows = _changed(rows, read_sample(other.labels_uri, shard, most), keep_older=order == "disagrees")
        parts.append(_with_selected(rows, reviewed.labels.selection_uri, shard))
    note = (
        f"There is no list of this order beside the selection: these are rows of a sample of {len(shards)} of "
        f"{reviewed.shards} shards, at most {most} rows of each."
    )
    return ReviewCandidates(ReviewRows.joined(parts).in_order(), "sample", (note,))


def _changed(newer: ReviewRows, older: ReviewRows, keep_older: bool) -> ReviewRows:
    """The rows whose labels differ, ordered by the doubt of the newer label; with the label that is looked at."""
    _, in_newer, in_older = np.intersect1d(newer.rows, older.rows, assume_unique=True, return_indices=True)
    newer, older = newer.taken(in_newer), older.taken(in_older)
    labels = older.labels if keep_older else newer.labels
    rows = ReviewRows(newer.shards, newer.rows, labels, newer.keys, newer.selected)
    return rows.taken(newer.labels != older.labels)


def _with_selected(rows: ReviewRows, selection_uri: str | None, shard: int) -> ReviewRows:
    if selection_uri is None:
        return rows
    try:
        copies = read_copies(selection_uri, shard)
    except FileNotFoundError:  # retention has deleted the selection
        return rows
    selected = np.isin(rows.rows, np.fromiter(copies, dtype=np.int32, count=len(copies))).astype(np.uint8)
    return ReviewRows(rows.shards, rows.rows, rows.labels, rows.keys, selected)
