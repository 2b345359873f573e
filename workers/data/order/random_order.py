"""Random numbers for rows, which depend on nothing but the seed, the shard and the row."""

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def random_keys(seed: int, shard: int, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """A random 64-bit key for each of `rows` in a shard. No two rows of a dataset have the same key.

    The keys are outputs of SplitMix64 (Steele, Lea, Flood 2014) at the positions (shard, row) of the seed's sequence,
    so that it does not matter in which order shards are processed, and by whom.
    """
    positions = (np.uint64(shard) << np.uint64(32)) | rows.astype(np.uint64)
    start = mixed(np.array([seed], dtype=np.uint64))
    return mixed(start + positions)


def copy_keys(
    seed: int, shard: int, rows: npt.NDArray[np.integer], copies: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint64]:
    """A random 64-bit key for each row and copy. Each copy number has its own sequence, different from `seed`'s."""
    positions = (np.uint64(shard) << np.uint64(32)) | rows.astype(np.uint64)
    starts = mixed(mixed(np.array([seed], dtype=np.uint64)) + copies.astype(np.uint64))
    return mixed(starts + positions)


def mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser: a one-to-one map of 64-bit numbers. Arithmetic wraps around."""
    bits = values + _GOLDEN
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits
