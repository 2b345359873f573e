"""The index of perceptual hashes finds the same pairs as comparing all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.leakage import hash_index
from workers.leakage.hash_index import HashIndex

HASHES = st.integers(0, 2**64 - 1)


def by_comparing_all(hashes: list[int], queries: list[int], distance: int) -> tuple[list[int], list[int]]:
    places, distances = [], []
    for query in queries:
        found = [((query ^ value).bit_count(), place) for place, value in enumerate(hashes)]
        nearest, place = min((pair for pair in found if pair[0] <= distance), default=(-1, -1))
        places.append(place)
        distances.append(nearest)
    return places, distances


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


@given(
    st.lists(HASHES, max_size=30),
    st.lists(st.tuples(st.integers(0, 29), st.lists(st.integers(0, 63), max_size=12)), max_size=20),
    st.lists(HASHES, max_size=3),
    st.integers(1, 10),
    st.sampled_from([1, 7, 1 << 19]),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_is_found_within_the_distance_and_nothing_beyond(
    hashes: list[int], changes: list[tuple[int, list[int]]], strangers: list[int], distance: int, at_once: int
) -> None:
    queries = [flipped(hashes[place % len(hashes)], bits) for place, bits in changes if hashes] + strangers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_index, "_LOOKED_UP_AT_ONCE", at_once)
        found = HashIndex(np.array(hashes, np.uint64), distance).nearest(np.array(queries, np.uint64))
    assert (found[0].tolist(), found[1].tolist()) == by_comparing_all(hashes, queries, distance)


def test_hashes_that_crowd_in_one_bucket_are_compared_in_parts() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.integers(0, 2**16, 3000, dtype=np.uint64)
    found = HashIndex(crowd, 4).nearest(crowd[:500])
    assert found[1].tolist() == [0] * 500
    assert np.array_equal(crowd[found[0]], crowd[:500])
