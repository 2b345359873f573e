"""Why rows are dropped. Each is counted once, under the first reason that applies."""

import numpy as np

from workers.selection.filtering import FilterCounts, confident_mask, filter_counts
from workers.selection.label_rows import NEVER, LabelRows


def counts_of(labels: list[int], doubts: list[float], largest: float, near: int = 0, equal: int = 0) -> FilterCounts:
    rows = LabelRows(0, np.array(labels, np.int32), np.array(doubts, np.float32), near, equal)
    return filter_counts(rows, confident_mask(rows, np.float32(largest)), classes=3)


def numbers(counts: FilterCounts) -> tuple[int, ...]:
    """Rows, bad, held out, near duplicates, duplicates, marked wrong, low confidence."""
    return (
        counts.rows, counts.bad, counts.held_out, counts.near_duplicates, counts.duplicates, counts.marked_wrong,
        counts.low_confidence,
    )  # fmt: skip


def test_the_threshold_itself_is_confident_enough() -> None:
    rows = LabelRows(0, np.zeros(4, np.int32), np.array([0, 0.5, 0.75, NEVER], np.float32))

    assert confident_mask(rows, np.float32(0.5)).tolist() == [True, True, False, False]


def test_every_dropped_row_has_one_reason() -> None:
    # Two broken images, a held-out one, a near duplicate, two duplicates, an unsure one, and two that pass.
    labels = [-1, -1, 0, 1, 1, 1, 2, 2, 0]
    doubts = [NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, 0.9, 0.1, 0.2]

    counts = counts_of(labels, doubts, largest=0.5, near=1, equal=2)

    assert numbers(counts) == (9, 2, 1, 1, 2, 0, 1)
    assert counts.labeled.tolist() == [2, 3, 2]


def test_where_no_image_is_broken_all_rows_have_labels() -> None:
    counts = counts_of([0, 2, 2], [0.1, 0.2, 0.9], largest=0.5)

    assert numbers(counts) == (3, 0, 0, 0, 0, 0, 1)
    assert counts.labeled.tolist() == [1, 0, 2]


def test_an_empty_shard_drops_nothing() -> None:
    assert numbers(counts_of([], [], largest=0.5)) == numbers(FilterCounts.nothing(3)) == (0,) * 7
    nothing = FilterCounts.nothing(3).labeled
    assert (str(nothing.dtype), nothing.tolist()) == ("int64", [0, 0, 0])


def test_classes_without_an_image_are_counted_too() -> None:
    assert counts_of([0], [0.1], largest=0.5).labeled.tolist() == [1, 0, 0]


def test_counts_of_shards_add_up() -> None:
    one = FilterCounts(1, 2, 3, 4, 5, 6, 7, np.array([7, 8]))
    other = FilterCounts(10, 20, 30, 40, 50, 60, 70, np.array([70, 80]))

    assert numbers(one + other) == (11, 22, 33, 44, 55, 66, 77)
    assert (one + other).labeled.tolist() == [77, 88]
