"""Plans a random permutation of all copies: how selected rows are cut into runs and dealt to training shards. Pure.

Each copy of a row gets a random key of 64 bits; sorting by keys permutes the copies uniformly. Training shards are
equal ranges of keys, so their sizes differ only by chance. This is an external sort, as in Exoshuffle (Luan et al.
2023, section 2): each run is read, sorted and written, then each training shard gathers its keys from every run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.specs.figures import TRAINING_SHARDS_A_RUN


@dataclass(frozen=True)
class RunPart:
    """Consecutive selected rows of one shard: from the `first`-th up to, but without, the `end`-th."""

    shard: int
    first: int
    end: int


@dataclass(frozen=True)
class Shuffle:
    """A planned shuffle. `starts` (shards + 1,) counts the selected rows before each shard; its last entry, all."""

    starts: npt.NDArray[np.int64]
    rows_a_run: int
    training_shards: int

    @classmethod
    def of(cls, kept_per_shard: list[int], copies: int, rows_per_shard: int) -> "Shuffle":
        """A shuffle of `kept_per_shard` selected rows, which make `copies` rows, `rows_per_shard` a training shard."""
        starts = np.concatenate([[0], np.cumsum(kept_per_shard, dtype=np.int64)]).astype(np.int64)
        return cls(starts, rows_per_shard * TRAINING_SHARDS_A_RUN, max(1, -(-copies // rows_per_shard)))

    @property
    def runs(self) -> int:
        """How many runs the selected rows are cut into."""
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
        """The training shard of each key. Higher keys have higher shards."""
        upper = keys >> np.uint64(32)
        return ((upper * np.uint64(self.training_shards)) >> np.uint64(32)).astype(np.int64)
