"""Finds, for many perceptual hashes at once, the nearest of a fixed set within a Hamming distance; exact."""

from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

_CHUNKS = 4
_CHUNK_BITS = 16
_CHUNK_VALUES = 1 << _CHUNK_BITS
_LOOKED_UP_AT_ONCE = 1 << 19
"""The most buckets, or members of buckets, at a time. Bounds memory to some tens of megabytes."""

Hashes = npt.NDArray[np.uint64]


class HashIndex:
    """Finds the nearest of `hashes`, uint64 (n,), within `distance` bits.

    Multi-index hashing (Norouzi, Punjani, Fleet 2012, "Fast search in Hamming space with multi-index hashing"): if two
    hashes differ in d bits, one of their four chunks of 16 bits differs in at most d // 4 bits.
    """

    def __init__(self, hashes: Hashes, distance: int) -> None:
        self._hashes = hashes
        self._distance = distance
        self._flips = _masks(distance // _CHUNKS)
        self._members: list[npt.NDArray[np.int32]] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        for chunk in range(_CHUNKS):
            values = _chunk(hashes, chunk)
            order = np.argsort(values, kind="stable")
            self._starts.append(np.searchsorted(values[order], np.arange(_CHUNK_VALUES + 1)))
            self._members.append(order.astype(np.int32))  # half the memory

    def nearest(self, queries: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The place of the nearest hash and its distance for each of `queries`, uint64 (q,); -1 where none is near.

        Among equally near hashes the first one is taken.
        """
        best = np.full(len(queries), np.iinfo(np.int64).max)
        step = max(1, _LOOKED_UP_AT_ONCE // len(self._flips))
        for start in range(0, len(queries), step):
            for chunk in range(_CHUNKS):
                self._look_up(queries[start : start + step], chunk, best[start : start + step])
        found = best < np.iinfo(np.int64).max
        return np.where(found, best & 0xFFFFFFFF, -1), np.where(found, best >> 32, -1)

    def _look_up(self, queries: Hashes, chunk: int, best: npt.NDArray[np.int64]) -> None:
        """Lowers `best`, which is distance << 32 | place, to the nearest hashes in the buckets of one chunk."""
        keys = _chunk(queries, chunk)[:, None] ^ self._flips
        starts = self._starts[chunk][keys]
        counts = self._starts[chunk][keys + 1] - starts
        of_query = counts.sum(axis=1)
        # If hashes crowd in few buckets, a block of queries has more candidates than fit, and is taken in parts.
        for part in _parts(of_query, _LOOKED_UP_AT_ONCE):
            self._compare(queries[part], chunk, starts[part].ravel(), counts[part].ravel(), of_query[part], best[part])

    def _compare(
        self,
        queries: Hashes,
        chunk: int,
        starts: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        of_query: npt.NDArray[np.int64],
        best: npt.NDArray[np.int64],
    ) -> None:
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        candidates = self._members[chunk][np.repeat(starts, counts) + within]
        asking = np.repeat(np.arange(len(queries)), of_query)
        distances = np.bitwise_count(queries[asking] ^ self._hashes[candidates]).astype(np.int64)
        near = distances <= self._distance
        np.minimum.at(best, asking[near], (distances[near] << 32) | candidates[near].astype(np.int64))


def _chunk(hashes: Hashes, chunk: int) -> npt.NDArray[np.int64]:
    return ((hashes >> np.uint64(chunk * _CHUNK_BITS)) & np.uint64(_CHUNK_VALUES - 1)).astype(np.int64)


def _masks(most_bits: int) -> npt.NDArray[np.int64]:
    """All values of a chunk with at most `most_bits` bits set."""
    return np.array(
        [sum(1 << bit for bit in bits) for count in range(most_bits + 1) for bits in combinations(range(16), count)]
    )


def _parts(counts: npt.NDArray[np.int64], most: int) -> list[slice]:
    """Cuts queries into consecutive parts of at most `most` candidates together, or of a single query."""
    ends = np.searchsorted(np.cumsum(counts), np.arange(most, counts.sum() + most, most), side="right").tolist()
    bounds = sorted({0, *(min(end + 1, len(counts)) for end in ends), len(counts)})
    return [slice(start, stop) for start, stop in pairwise(bounds)]
