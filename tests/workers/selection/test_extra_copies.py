"""How often each class's images are copied, and which of them get one more copy."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.data.order.random_order import random_keys
from workers.selection.class_balance import balance_classes
from workers.selection.extra_copies import drawn_once_more, extra_of_shard


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 60), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_extra_copies_of_all_shards_add_up(in_shard: list[int], extra: int, seed: int) -> None:
    here = np.array(in_shard)[:, None]
    total = here.sum(axis=0)
    one_more = np.minimum(total, extra)
    before = np.cumsum(here, axis=0) - here
    shares = [extra_of_shard(seed, before[n], here[n], total, one_more) for n in range(len(in_shard))]
    assert sum(shares) == one_more
    assert all((share <= images).all() for share, images in zip(shares, here, strict=True))


def test_extra_copies_fall_on_every_image_about_equally_often() -> None:
    hits: Counter[tuple[int, int]] = Counter()
    total, one_more, here = np.array([10]), np.array([3]), np.array([2])
    for seed in range(1000):
        for shard in range(5):
            extra = extra_of_shard(seed, np.array([2 * shard]), here, total, one_more)
            drawn = drawn_once_more(seed, shard, np.array([4, 7]), np.zeros(2, dtype=np.int32), extra)
            hits.update((shard, row) for row in np.flatnonzero(drawn).tolist())
    assert sum(hits.values()) == 1000 * 3
    assert all(240 < hits[shard, row] < 360 for shard in range(5) for row in range(2)), hits  # 300 expected


@given(
    st.lists(st.integers(0, 3), max_size=40),
    st.lists(st.integers(0, 12), min_size=4, max_size=4),
    st.integers(0, 2**31),
)
def test_as_many_images_of_each_class_are_drawn_as_it_gets_extra_copies(
    classes: list[int], extra: list[int], seed: int
) -> None:
    labels = np.array(classes, dtype=np.int32)
    asked = np.minimum(np.bincount(labels, minlength=4), extra)
    drawn = drawn_once_more(seed, 3, np.arange(len(labels)) * 7, labels, asked)
    assert drawn.dtype == bool
    assert np.bincount(labels[drawn], minlength=4).tolist() == asked.tolist()


def test_the_images_with_the_smallest_random_keys_are_drawn() -> None:
    rows, labels = np.arange(3, 503), np.tile(np.array([0, 1, 2, 1], dtype=np.int32), 125)
    keys = random_keys(9, 4, rows)
    drawn = drawn_once_more(9, 4, rows, labels, np.array([20, 0, 70]))
    for label, extra in ((0, 20), (2, 70)):
        ordered = np.sort(keys[labels == label])
        assert (keys[drawn & (labels == label)] <= ordered[extra - 1]).all()
        assert np.count_nonzero(drawn & (labels == label)) == extra


def test_the_first_shard_with_an_extra_copy_is_drawn_by_class_and_seed() -> None:
    """Of 12 images in shards of one, 3 get a copy, 4 shards apart. The seed decides which is first."""
    one, total, extra = np.array([1, 1]), np.array([12, 12]), np.array([3, 3])
    firsts = set()
    for seed in range(40):
        shares = np.array([extra_of_shard(seed, np.array([n, n]), one, total, extra) for n in range(12)])
        for label in range(2):
            chosen = np.flatnonzero(shares[:, label])
            assert np.diff(chosen).tolist() == [4, 4]
        firsts.add(tuple(np.flatnonzero(shares[:, label])[0] for label in range(2)))
    assert {first for first, _ in firsts} == {second for _, second in firsts} == set(range(4))
    assert len(firsts) > 8, "each class begins where it will"


def test_random_keys_depend_on_the_row_alone_and_never_repeat() -> None:
    rows = np.arange(5000)
    np.testing.assert_array_equal(random_keys(5, 3, rows[7:9]), random_keys(5, 3, rows)[7:9])
    keys = np.concatenate([random_keys(5, shard, rows) for shard in range(20)])
    assert np.unique(keys).size == keys.size


@pytest.mark.parametrize(
    ("confident", "cap", "fill_up", "kept", "copies"),
    [
        ([5, 2, 0], None, True, [5, 2, 0], [5, 5, 0]),
        ([5, 2, 0], None, False, [5, 2, 0], [5, 2, 0]),
        ([5, 2, 0], 3, True, [3, 2, 0], [3, 3, 0]),
        ([5, 2, 0], 9, True, [5, 2, 0], [9, 9, 0]),
        ([0, 0, 0], None, True, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_plan_of_copies(
    confident: list[int], cap: int | None, fill_up: bool, kept: list[int], copies: list[int]
) -> None:
    balance = balance_classes(np.array(confident), cap, fill_up)
    assert balance.kept.tolist() == kept
    assert balance.copies.tolist() == copies


def test_no_image_of_a_rare_class_is_repeated_more_often_than_allowed() -> None:
    balance = balance_classes(np.array([3_000_000, 1, 400_000, 0]), None, True, max_copies=10)
    assert balance.kept.tolist() == [3_000_000, 1, 400_000, 0]
    assert balance.copies.tolist() == [3_000_000, 10, 3_000_000, 0]
    assert balance.lacking is not None
    assert balance.lacking.tolist() == [0, 2_999_990, 0, 0]
    assert balance_classes(np.array([30, 1]), 20, True, max_copies=10).copies.tolist() == [20, 10]
    assert balance_classes(np.array([30, 1]), None, True, max_copies=None).copies.tolist() == [30, 30]


def test_a_share_of_each_class_is_a_threshold_of_its_own() -> None:
    balance = balance_classes(np.array([1000, 10, 3, 0]), None, False, share_per_class=0.1)
    assert balance.kept.tolist() == [100, 1, 1, 0]
    assert balance_classes(np.array([1000, 10]), 50, False, share_per_class=0.1).kept.tolist() == [50, 1]


def test_classes_that_are_cut_are_repeated_as_a_whole() -> None:
    """Which of their images would get an extra copy is not known shard by shard."""
    balance = balance_classes(np.array([100, 14, 0]), None, True, share_per_class=0.5)
    assert balance.kept.tolist() == [50, 7, 0]
    assert balance.copies.tolist() == [50, 49, 0]
    assert balance.one_more.tolist() == [0, 0, 0]
