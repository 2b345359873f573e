"""How selected rows are cut into runs and dealt to training shards: a random permutation of all copies. Pure.

Each copy of a row has a random 64-bit key. Sorted by their keys the copies are uniformly permuted; the training shards
are equal ranges of keys, so their sizes differ by chance alone. It is the external sort of Exoshuffle (Luan et al.
2023, section 2) and its kin: a run is read, sorted and written, and a training shard gathers its range of every run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.specs.figures import TRAINING_SHARDS_A_RUN


@dataclass(frozen=True)
class RunPart:
    """Some of the selected rows of one shard: the `first`-th to the one before the `end`-th."""

    shard: int
    first: int
    end: int


@dataclass(frozen=True)
class Shuffle:
    """`starts` (shards + 1,) counts the selected rows before each shard, and in all."""

    starts: npt.NDArray[np.int64]
    rows_a_run: int
    training_shards: int

    @classmethod
    def of(cls, kept_per_shard: list[int], copies: int, rows_per_shard: int) -> "Shuffle":
        """For so many selected rows in each shard, `copies` rows in all and `rows_per_shard` in a training shard."""
        starts = np.concatenate([[0], np.cumsum(kept_per_shard, dtype=np.int64)]).astype(np.int64)
        return cls(starts, rows_per_shard * TRAINING_SHARDS_A_RUN, max(1, -(-copies // rows_per_shard)))

    @property
    def runs(self) -> int:
        """How many runs that makes."""
        return -(-int(self.starts[-1]) // self.rows_a_run)

    def parts(self, run: int) -> Iterator[RunPart]:
        """The selected rows of a run, shard by shard."""
        first, end = run * self.rows_a_run, min((run + 1) * self.rows_a_run, int(self.starts[-1]))
        shard = int(np.searchsorted(self.starts, first, side="right")) - 1
        while first < end:
            stop = min(end, int(self.starts[shard + 1]))
            if stop > first:
                yield RunPart(shard, first - int(self.starts[shard]), stop - int(self.starts[shard]))
            first, shard = stop, shard + 1

    def training_shard_of(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The training shard of each key; it rises with the key."""
        upper = keys >> np.uint64(32)
        return ((upper * np.uint64(self.training_shards)) >> np.uint64(32)).astype(np.int64)
