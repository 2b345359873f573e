"""The best rows of each class, digit by digit: cuts, counts and ties, as values."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.selection.best_rows import (
    EVERYTHING,
    HASH_BITS,
    KEY_BITS,
    NOTHING,
    Candidates,
    Cut,
    DigitCounts,
    digit_bits,
    first_by_hash,
    joined,
    keys_with_hashes,
    narrowed,
    split_by_order,
)


def make_candidates(*rows: tuple[int, int, int, int]) -> Candidates:
    """A table of rows, given as (shard, row, class, order)."""
    shards, places, classes, order = np.array(rows or np.empty((0, 4), int)).T
    return Candidates(
        shards.astype(np.int32), places.astype(np.int32), classes.astype(np.int32), order.astype(np.uint32)
    )


def places(candidates: Candidates) -> list[tuple[int, int]]:
    """The selected rows as (shard, row)."""
    return list(zip(candidates.shards.tolist(), candidates.rows.tolist(), strict=True))


def make_cut(wanted: list[int], undecided: list[int] | None = None, shift: int = KEY_BITS) -> Cut:
    """The cut before anything is known about the keys."""
    classes = len(wanted)
    counts = np.array(undecided if undecided is not None else [0] * classes)
    return Cut(np.full(classes, NOTHING), np.full(classes, EVERYTHING), np.array(wanted), counts, shift)


@pytest.mark.parametrize(
    ("classes", "bits"), [(1, 13), (512, 13), (513, 12), (1000, 12), (1024, 12), (1025, 11), (262_144, 4), (10**6, 4)]
)
def test_a_digit_is_as_long_as_the_table_of_all_classes_allows(classes: int, bits: int) -> None:
    """A table has at most four million counters. A digit has between 4 and 13 bits."""
    assert digit_bits(classes) == bits


def test_without_a_class_there_are_digits_all_the_same() -> None:
    assert digit_bits(0) == 13


def test_before_counting_only_classes_of_which_some_rows_are_wanted_are_undecided() -> None:
    rows = np.array([5, 5, 5, 0])
    cut = Cut.before_counting(4, np.array([0, 3, 5, 2]), rows)

    assert cut.lower.tolist() == [0, 0, EVERYTHING, EVERYTHING]
    assert cut.upper.tolist() == [0, EVERYTHING, EVERYTHING, EVERYTHING]
    assert (cut.wanted.tolist(), cut.undecided.tolist()) == ([0, 3, 0, 0], [0, 5, 0, 0])
    assert cut.shift == KEY_BITS
    assert not cut.is_decided


def test_a_cut_of_which_nothing_is_known_leaves_every_row_open() -> None:
    cut = Cut.unknown(2)
    classes, keys = np.array([0, 1, 1]), np.array([0, 7, (1 << KEY_BITS) - 1], dtype=np.uint64)

    inside = cut.inside(classes, keys)

    assert not inside.any()
    assert cut.undecided_mask(classes, keys, inside).all()
    assert (cut.wanted.tolist(), cut.undecided.tolist(), cut.shift) == ([1, 1], [1, 1], KEY_BITS)
    assert not cut.is_decided


def test_hashes_are_needed_once_the_next_digit_reaches_into_them() -> None:
    """With digits of 13 bits, the third digit ends below bit 32, that is, it reaches into the hash."""
    assert [make_cut([1], shift=shift).needs_hashes for shift in (62, 49, 45, 44, 36, 32)] == [False] * 3 + [True] * 3
    assert [make_cut([1], shift=shift).has_hashes for shift in (62, 33, 32, 31, 0)] == [False] * 3 + [True] * 2
    assert [make_cut([1], shift=shift).digit_bits for shift in (62, 13, 12, 0)] == [13, 13, 12, 0]


def test_keys_without_hashes_are_judged_by_the_same_bounds() -> None:
    lower, upper = np.array([5 << HASH_BITS], dtype=np.uint64), np.array([8 << HASH_BITS], dtype=np.uint64)
    cut = Cut(lower, upper, np.array([1]), np.array([3]), 40)
    order = np.array([4, 5, 7, 8], dtype=np.uint32)

    for keys in (order, order.astype(np.uint64) << np.uint64(HASH_BITS)):
        inside = cut.inside(np.zeros(4, dtype=np.int32), keys)
        assert inside.tolist() == [True, False, False, False]
        assert cut.undecided_mask(np.zeros(4, np.int32), keys, inside).tolist() == [False, True, True, False]


def test_a_key_is_the_doubt_and_below_it_the_beginning_of_the_hash() -> None:
    order = np.array([3, 0], dtype=np.uint32)
    hashes = np.array([b"\x01\x02\x03\x04" + b"z" * 12, b"\xff" * 16], dtype="S16")

    assert keys_with_hashes(order, hashes).tolist() == [(3 << 32) | 0x01020304, 0xFFFFFFFF]
    nothing = keys_with_hashes(np.empty(0, np.uint32), np.empty(0, "S16"))
    assert nothing.dtype == np.uint64
    assert len(nothing) == 0


def test_digits_are_counted_by_class_of_whole_keys_and_of_orders_alike() -> None:
    """The first digit is the highest 13 bits of a key, all of which come from the doubt's 30 bits."""
    order = np.array([0, 1 << 17, (1 << 17) + 5, 3 << 17, 3 << 17], dtype=np.uint32)
    classes = np.array([0, 0, 0, 1, 0], dtype=np.int32)
    which = np.array([True, True, True, True, False])
    for keys in (order, order.astype(np.uint64) << np.uint64(HASH_BITS)):
        counts = DigitCounts(Cut.unknown(2))
        counts.add(classes, keys, which)
        table = counts.table.reshape(-1, 2)
        assert table.shape == (1 << 13, 2)
        assert {digit: table[digit].tolist() for digit in np.flatnonzero(table.any(axis=1)).tolist()} == {
            0: [1, 0],
            1: [2, 0],
            3: [0, 1],
        }
        assert counts.by_class.tolist() == [3, 1]


def test_a_later_digit_is_counted_below_the_bits_that_are_known() -> None:
    cut = make_cut([2, 2], [4, 4], shift=49)
    counts = DigitCounts(cut)
    keys = np.array([(9 << 49) | (6 << 36), (9 << 49) | (7 << 36) | 12345], dtype=np.uint64)

    counts.add(np.array([1, 1], dtype=np.int32), keys, np.ones(2, dtype=bool))

    used = counts.used()
    assert (used.digits.tolist(), used.counts.tolist()) == ([6, 7], [[0, 1], [0, 1]])


def test_what_was_counted_in_parts_adds_up() -> None:
    order, all_rows = np.array([1 << 17, 2 << 17, 2 << 17], dtype=np.uint32), np.ones(3, dtype=bool)
    first, second = DigitCounts(Cut.unknown(2)), DigitCounts(Cut.unknown(2))
    first.add(np.array([0, 0, 1], dtype=np.int32), order, all_rows)
    second.add(np.array([1, 1, 1], dtype=np.int32), order, all_rows)

    first.add_counted(second.used())

    used = first.used()
    assert (used.digits.tolist(), used.counts.tolist()) == ([1, 2], [[1, 1], [1, 3]])


def narrow_once(wanted: list[int], keys: list[list[int]]) -> Cut:
    """The cut after the first digit, for each class's keys in units of that digit."""
    labels = np.repeat(np.arange(len(keys), dtype=np.int32), [len(each) for each in keys])
    order = np.array([key for each in keys for key in each], dtype=np.uint32) << np.uint32(17)
    counts = DigitCounts(Cut.unknown(len(keys)))
    counts.add(labels, order, np.ones(len(order), dtype=bool))
    rows = np.array([len(each) for each in keys])
    return narrowed(Cut.before_counting(len(keys), np.array(wanted), rows), counts.table)


def test_a_count_leaves_open_only_the_digit_in_which_the_last_wanted_row_lies() -> None:
    cut = narrow_once([3, 2, 9], [[1, 2, 2, 2, 5], [1, 1, 4], [3, 3]])
    digit = 1 << 49

    # Class 0 wants two of three rows, one of which is below digit 2; class 1 ends with digit 1; class 2 wants all.
    assert cut.lower.tolist() == [2 * digit, 2 * digit, EVERYTHING]
    assert cut.upper.tolist() == [3 * digit, 2 * digit, EVERYTHING]
    assert (cut.wanted.tolist(), cut.undecided.tolist(), cut.shift) == ([2, 0, 0], [3, 0, 0], 49)


def test_the_last_wanted_row_may_lie_in_the_last_digit() -> None:
    last = (1 << 13) - 1
    cut = narrow_once([2], [[0, last, last]])

    assert cut.lower.tolist() == [last << 49]
    assert cut.upper.tolist() == [EVERYTHING]
    assert (cut.wanted.tolist(), cut.undecided.tolist()) == ([1], [2])


def test_bounds_and_counts_of_a_cut_stay_integers() -> None:
    """A key has more bits than a float can distinguish."""
    before = Cut.before_counting(2, np.array([0, 3]), np.array([5, 5]))
    for cut in (Cut.unknown(2), before, narrow_once([3], [[1, 2, 2, 2, 5]])):
        kinds = [str(part.dtype) for part in (cut.lower, cut.upper, cut.wanted, cut.undecided)]
        assert kinds == ["uint64", "uint64", "int64", "int64"]


def test_a_counter_takes_four_bytes() -> None:
    assert DigitCounts(Cut.unknown(512)).table.nbytes == (1 << 22) * 4


def test_a_class_that_is_decided_keeps_its_bounds() -> None:
    first = narrow_once([3, 2], [[1, 2, 2, 2, 5], [1, 1, 4]])
    counts = DigitCounts(first)
    keys = np.array([(2 << 49) | (digit << 36) for digit in (0, 4, 4)], dtype=np.uint64)
    counts.add(np.zeros(3, dtype=np.int32), keys, np.ones(3, dtype=bool))

    second = narrowed(first, counts.table)

    assert second.lower.tolist() == [(2 << 49) | (4 << 36), first.lower[1]]
    assert second.upper.tolist() == [(2 << 49) | (5 << 36), first.upper[1]]
    assert (second.wanted.tolist(), second.undecided.tolist()) == ([1, 0], [2, 0])


def test_candidates_are_taken_by_shard() -> None:
    found = make_candidates((2, 0, 0, 0), (1, 5, 0, 0), (2, 1, 0, 0), (1, 4, 0, 0)).by_shard()

    assert places(found) == [(1, 5), (1, 4), (2, 0), (2, 1)], "in the order that they had"
    assert places(found.of_shards(range(1, 2))) == [(1, 5), (1, 4)]
    assert places(found.of_shards(range(2, 9))) == [(2, 0), (2, 1)]
    assert places(found.of_shards(range(3, 9))) == []


def test_rows_of_a_shard_keep_their_order_however_many_they_are() -> None:
    mixed = make_candidates(*((row % 3, row, 0, 0) for row in range(300)))

    assert places(mixed.by_shard()) == sorted(places(mixed))


def test_candidates_of_several_parts_are_joined_in_their_order() -> None:
    one, other = make_candidates((1, 2, 3, 4), (5, 6, 7, 8)), make_candidates((9, 10, 11, 12))

    both = joined([one, other])

    assert [part.tolist() for part in (both.shards, both.rows, both.classes, both.order)] == [
        [1, 5, 9],
        [2, 6, 10],
        [3, 7, 11],
        [4, 8, 12],
    ]
    nothing = joined([])
    kinds = [str(part.dtype) for part in (nothing.shards, nothing.rows, nothing.classes, nothing.order)]
    assert kinds == ["int32", "int32", "int32", "uint32"]
    assert [len(part) for part in (nothing.shards, nothing.rows, nothing.classes, nothing.order)] == [0, 0, 0, 0]


def test_doubt_alone_decides_all_rows_but_those_that_tie_at_the_last_place() -> None:
    # Class 0 takes 3 of these, the last among two that tie; class 1 takes its tie as a whole; class 2 takes none.
    candidates = make_candidates(
        (0, 0, 0, 7), (0, 1, 0, 7), (0, 2, 0, 1), (0, 3, 0, 2), (0, 4, 0, 9), (1, 0, 1, 4), (1, 1, 1, 4), (1, 2, 2, 0)
    )

    sure, tied, left = split_by_order(candidates, make_cut([3, 2, 0]))

    assert places(sure) == [(0, 2), (0, 3), (1, 0), (1, 1)]
    assert places(tied) == [(0, 0), (0, 1)]
    assert left.tolist() == [1, 0, 0]


def test_the_largest_doubts_are_told_apart_to_the_last_bit() -> None:
    top = (1 << 32) - 1
    candidates = make_candidates((0, 0, 1, top), (0, 1, 1, top - 1), (0, 2, 0, top))

    sure, tied, _ = split_by_order(candidates, make_cut([0, 1]))

    assert (places(sure), places(tied)) == ([(0, 1)], [])


def test_ties_go_by_content_hash_and_equal_images_by_shard_and_row() -> None:
    tied = make_candidates((1, 9, 1, 0), (0, 3, 1, 0), (2, 1, 0, 0), (0, 2, 1, 0), (1, 0, 0, 0))
    hashes = np.array([b"a", b"b", b"c", b"b", b"c"], dtype="S16")

    assert places(first_by_hash(tied, hashes, np.array([1, 2]))) == [(1, 0), (1, 9), (0, 2)]
    assert places(first_by_hash(tied, hashes, np.array([0, 3]))) == [(1, 9), (0, 2), (0, 3)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=30), st.integers(0, 12))
def test_as_many_rows_of_a_class_are_sure_or_left_as_are_wanted(drawn: list[tuple[int, int]], wanted: int) -> None:
    candidates = make_candidates(*((0, row, label, order) for row, (label, order) in enumerate(drawn)))
    counts: npt.NDArray[np.int64] = np.bincount(candidates.classes, minlength=3)
    asked = np.minimum(counts, wanted)

    sure, tied, left = split_by_order(candidates, make_cut(asked.tolist()))

    assert (np.bincount(sure.classes, minlength=3) + left).tolist() == asked.tolist()
    assert (left <= np.bincount(tied.classes, minlength=3)).all()
    for label in range(3):
        best = np.sort(candidates.order[candidates.classes == label])[: asked[label]]
        assert sorted(sure.order[sure.classes == label].tolist()) == best[: len(best) - left[label]].tolist()
