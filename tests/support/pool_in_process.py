"""A pool of actors as a loop in this process, for tests of stages that map shards."""

from collections.abc import Callable, Iterator, Sequence

from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.specs.stages import ActorPool


class PoolInProcess:
    """Takes the place of `map_shards`, and keeps the indices of the shards that were worked on in `labeled`."""

    def __init__(self) -> None:
        self.labeled: list[int] = []

    def map_shards(
        self, make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[ShardDone]:
        """Yields the result of each shard. No function is made where there are none, as no actor starts."""
        function = make_function() if shard_indices else bytes
        for shard in shard_indices:
            self.labeled.append(shard)
            yield ShardDone(shard, 10.0 + shard, 11.0 + shard, function(shard))
