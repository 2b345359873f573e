"""What each process does with its range of shards, with label files as values."""

from dataclasses import replace

import numpy as np
import pytest

from workers.data.confidence import order_bits
from workers.selection import selector
from workers.selection.best_rows import Candidates, Cut, DigitCounts, keys_with_hashes, narrowed
from workers.selection.class_balance import ClassBalance, balance_classes
from workers.selection.extra_copies import extra_of_shard
from workers.selection.label_rows import NEVER, LabelRows
from workers.selection.selector import Choice, Rules, Selector, count, hashes_of, scan, sift
from workers.specs.selection import SelectionSettings
from workers.specs.stages import DUPLICATES_FOLDER, NEAR_DUPLICATES_FOLDER

NOBODY: frozenset[int] = frozenset()
SHARDS = [
    LabelRows(4, np.array([0, 1, -1, 0], np.int32), np.array([0.1, 0.2, NEVER, 0.9], np.float32)),
    LabelRows(7, np.array([1, 0, 0], np.int32), np.array([0.1, 0.1, 0.3], np.float32)),
]


def make_rules(**changes: object) -> Rules:
    known = Rules(SelectionSettings(min_confidence=0.5), 2, 5, "labels", NOBODY, NOBODY)
    return replace(known, **changes)  # type: ignore[arg-type]


def rows_of(shard: int) -> LabelRows:
    return next(rows for rows in SHARDS if rows.shard == shard)


def hash_of(shard: int, row: int) -> bytes:
    return bytes([255 - row, shard]) + b"x" * 14


@pytest.fixture(autouse=True)
def label_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[object]]:
    """Stands in for the store, and records what was read."""
    read: dict[str, list[object]] = {"hashes": [], "rows": []}
    listed = {(NEAR_DUPLICATES_FOLDER, 4): [0], (DUPLICATES_FOLDER, 4): [0, 1], (DUPLICATES_FOLDER, 7): [2]}

    def read_label_rows(uri: str, shard: int, classes: int) -> LabelRows:
        read["rows"].append((uri, shard, classes))
        return rows_of(shard)

    def read_hashes(uri: str, shard: int) -> np.ndarray:
        read["hashes"].append((uri, shard))
        return np.array([hash_of(shard, row) for row in range(len(rows_of(shard).labels))], "S16")

    def read_listed_rows(uri: str, folder: str, shard: int) -> np.ndarray:
        assert uri == "labels"
        return np.array(listed[folder, shard], np.int32)

    monkeypatch.setattr(selector, "read_label_rows", read_label_rows)
    monkeypatch.setattr(selector, "read_hashes", read_hashes)
    monkeypatch.setattr(selector, "read_listed_rows", read_listed_rows)
    return read


def test_a_label_file_that_nothing_is_dropped_from_is_taken_as_it_is(label_files: dict[str, list[object]]) -> None:
    assert make_rules().read(4) is SHARDS[0]
    assert label_files["rows"] == [("labels", 4, 2)]


def test_a_row_that_is_dropped_twice_counts_as_a_near_duplicate() -> None:
    rows = make_rules(with_near_duplicates=frozenset({4}), with_duplicates=frozenset({4, 7})).read(4)

    assert rows.doubts.tolist() == [NEVER, NEVER, NEVER, np.float32(0.9)]
    assert (rows.dropped_near_duplicates, rows.dropped_duplicates) == (1, 1)
    assert (rows.shard, rows.labels.tolist()) == (4, SHARDS[0].labels.tolist())
    assert SHARDS[0].doubts[0] == np.float32(0.1), "what was read is not changed"


def test_a_shard_may_have_duplicates_of_one_kind_alone() -> None:
    near = make_rules(with_near_duplicates=frozenset({4})).read(4)
    equal = make_rules(with_duplicates=frozenset({7})).read(7)

    assert (near.dropped_near_duplicates, near.dropped_duplicates) == (1, 0)
    assert (equal.dropped_near_duplicates, equal.dropped_duplicates) == (0, 1)
    assert equal.doubts.tolist() == [np.float32(0.1), np.float32(0.1), NEVER]


@pytest.mark.parametrize(("uri", "remote"), [("/labels", False), ("file:///labels", False), ("s3://bucket/a", True)])
def test_label_files_in_a_bucket_are_read_over_a_network(uri: str, remote: bool) -> None:
    assert make_rules(labels_uri=uri).is_remote is remote


def test_a_scan_counts_what_passes_and_its_first_digits() -> None:
    found, digits = scan(SHARDS, make_rules())

    assert found.confident.tolist() == [3, 2]
    assert (found.counts.rows, found.counts.bad, found.counts.low_confidence) == (7, 1, 1)
    assert found.counts.labeled.tolist() == [4, 2]
    assert digits.counts.sum(axis=0).tolist() == [3, 2]
    first_digits = order_bits(np.array([0.1, 0.2, 0.3], np.float32)) >> np.uint32(17)
    assert digits.digits.tolist() == first_digits.tolist()


def cut_after_the_scan(wanted: list[int]) -> Cut:
    found, digits = scan(SHARDS, make_rules())
    cut = Cut.before_counting(2, np.array(wanted), found.confident)
    counts = DigitCounts(cut)
    counts.add_counted(digits)
    return narrowed(cut, counts.table)


def test_the_next_digits_are_counted_of_undecided_rows_that_pass(label_files: dict[str, list[object]]) -> None:
    """Class 0 takes one of its two rows at 0.1. Class 1 takes both of its rows, so it is decided."""
    cut = cut_after_the_scan([1, 2])

    used = count(SHARDS, make_rules(), cut)

    assert used.counts.tolist() == [[2, 0]]
    assert label_files["hashes"] == []


def test_hashes_are_read_once_a_digit_reaches_into_them(label_files: dict[str, list[object]]) -> None:
    cut = cut_after_the_scan([1, 2])
    while not cut.needs_hashes:
        counts = DigitCounts(cut)
        counts.add_counted(count(SHARDS, make_rules(), cut))
        cut = narrowed(cut, counts.table)
    used = count(SHARDS, make_rules(), cut)

    # The hashes' first bytes are 255 and 254, so that they differ in the digit that reaches into them or in the next.
    assert used.counts.sum(axis=0).tolist() == [2, 0]
    assert label_files["hashes"] == [("labels", 4), ("labels", 7)]


def test_sifting_tells_who_is_in_and_who_is_open() -> None:
    sifted = sift(SHARDS, make_rules(), cut_after_the_scan([1, 2]))

    assert [np.unpackbits(bits)[:4].tolist() for bits in sifted.sure] == [[0, 1, 0, 0], [1, 0, 0, 0]]
    open_rows = sifted.undecided
    assert (open_rows.shards.tolist(), open_rows.rows.tolist(), open_rows.classes.tolist()) == ([4, 7], [0, 1], [0, 0])
    assert open_rows.order.tolist() == order_bits(np.array([0.1, 0.1], np.float32)).tolist()
    assert all(part.dtype == np.int32 for part in (open_rows.shards, open_rows.rows))


def test_a_cut_within_the_hashes_is_sifted_by_them(label_files: dict[str, list[object]]) -> None:
    """Only the second row of shard 7 is below the bound, because its hash is the smaller of the two rows at 0.1."""
    [bound] = keys_with_hashes(order_bits(np.array([0.1], np.float32)), np.array([hash_of(4, 0)], "S16"))
    cut = Cut(np.array([bound, 0]), np.array([bound, 0]), np.zeros(2, np.int64), np.zeros(2, np.int64), 0)

    sifted = sift(SHARDS, make_rules(), cut)

    assert [np.unpackbits(bits)[:4].tolist() for bits in sifted.sure] == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert label_files["hashes"] == [("labels", 4), ("labels", 7)]


def test_hashes_are_those_of_their_rows(label_files: dict[str, list[object]]) -> None:
    shards, rows = np.array([7, 4, 7], np.int32), np.array([2, 1, 0], np.int32)
    tied = Candidates(shards, rows, np.zeros(3, np.int32), np.zeros(3, np.uint32))

    found = hashes_of(tied, make_rules())

    assert found.tolist() == [hash_of(7, 2), hash_of(4, 1), hash_of(7, 0)]
    assert found.dtype == "S16"
    assert label_files["hashes"] == [("labels", 4), ("labels", 7)]


def make_choice(
    balance: ClassBalance, sure: list[list[int]], chosen: list[tuple[int, int]], confident: list[int]
) -> Choice:
    shards, rows = np.array(chosen or np.empty((0, 2), int)).T.astype(np.int32)
    undecided = Candidates(shards, rows, np.zeros(len(rows), np.int32), np.zeros(len(rows), np.uint32))
    bits = [np.packbits(np.array(each, dtype=bool)) for each in sure]
    return Choice(balance, bits, undecided, np.array(confident), np.zeros(len(confident), np.int64))


def test_kept_rows_are_those_that_are_sure_and_those_that_were_chosen() -> None:
    balance = ClassBalance(np.array([2, 2]), np.array([3, 1]), np.array([0, 0]))
    choice = make_choice(balance, [[0, 1, 0, 0], [1, 0, 0]], [(4, 0), (7, 1)], [2, 2])
    writer = Selector(make_rules(), choice)

    first, second = (writer.selected(number, rows.shard, rows.labels) for number, rows in enumerate(SHARDS))

    assert [part.tolist() for part in first] == [[0, 1], [3, 1]]
    assert [part.tolist() for part in second] == [[0, 1], [1, 3]]
    assert all(part.dtype == np.int32 for part in (*first, *second))


def test_extra_copies_go_to_as_many_images_as_the_plan_says_over_all_shards() -> None:
    """Class 0 has five images for its seven copies, and class 1 has two for seven."""
    labels = [np.array([0, 0, 1], np.int32), np.array([0, 1, 0, 0], np.int32)]
    confident = np.array([5, 2])
    balance = balance_classes(confident, 7, True)
    choice = make_choice(balance, [[1, 1, 1], [1, 1, 1, 1]], [], confident.tolist())
    before_first = choice.before.copy()
    writer = Selector(make_rules(), choice)

    parts = [writer.selected(number, number, each) for number, each in enumerate(labels)]

    of_class = [sum(int(copies[each[kept] == label].sum()) for each, (kept, copies) in zip(labels, parts, strict=True))
                for label in (0, 1)]  # fmt: skip
    assert of_class == [7, 7]
    assert choice.before.tolist() == before_first.tolist(), "another writer begins at the same place"


def test_a_range_that_begins_later_gives_its_shards_what_one_range_would() -> None:
    labels = [np.zeros(size, np.int32) for size in (5, 3, 6, 2)]
    confident, sure = np.array([16]), [[1] * len(each) for each in labels]
    choice = make_choice(balance_classes(confident, 23, True), sure, [], confident.tolist())
    whole = Selector(make_rules(classes=1), choice)
    expected = [whole.selected(number, number, each)[1].tolist() for number, each in enumerate(labels)]

    later = Selector(make_rules(classes=1), replace(choice, sure=choice.sure[2:], before=np.array([8])))
    found = [later.selected(number - 2, number, labels[number])[1].tolist() for number in (2, 3)]

    assert found == expected[2:]
    assert sum(map(sum, expected)) == 23


def test_rows_that_were_chosen_in_neighbouring_shards_are_not_taken_here() -> None:
    balance = ClassBalance(np.array([3, 0]), np.array([1, 1]), np.array([0, 0]))
    choice = make_choice(balance, [[0, 0, 0]] * 3, [(4, 0), (5, 1), (6, 2)], [3, 0])
    writer = Selector(make_rules(), choice)

    kept = [writer.selected(number, 4 + number, np.zeros(3, np.int32))[0].tolist() for number in range(3)]

    assert kept == [[0], [1], [2]]


def test_each_shard_gets_the_extra_copies_of_its_place_also_where_it_lacks_a_class() -> None:
    shards = [np.array(labels, np.int32) for labels in ([0, 1, 0], [0, 0], [1], [0, 1, 1, 0], [0])]
    here = np.array([np.bincount(labels, minlength=2) for labels in shards])
    total, before = here.sum(axis=0), np.cumsum(here, axis=0) - here
    balance = balance_classes(total, 11, True)
    writer = Selector(make_rules(), make_choice(balance, [[1] * len(labels) for labels in shards], [], total.tolist()))

    for number, labels in enumerate(shards):
        _, copies = writer.selected(number, number, labels)
        extra = extra_of_shard(5, before[number], here[number], total, balance.one_more)
        expected = here[number] * balance.copies_each + extra
        assert np.bincount(labels, weights=copies, minlength=2).tolist() == expected.tolist()
