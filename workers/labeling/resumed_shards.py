"""Has the pool work through shards, and reports how far it is."""

from collections.abc import Callable

from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.runtime.stage_reporter import StageReporter
from workers.runtime.work_clock import WorkClock
from workers.specs.stages import ActorPool


def finish_shards(
    make_function: Callable[[], ShardFunction],
    shards: list[int],
    pool: ActorPool,
    done_before: int,
    add: Callable[[bytes], int],
    reporter: StageReporter,
) -> float:
    """Has the pool finish the shards, and returns how many images were done a second.

    `add` takes what the function returned for a shard, and returns how many images are done so far. Raises Paused
    after a shard if the service asks for it.
    """
    images, clock = done_before, WorkClock(reporter)
    reporter.update(images)
    for shard in map_shards(make_function, shards, pool):
        images = add(shard.payload)
        clock.add(shard.started_at, shard.ended_at)
        reporter.update(images, {"images_per_second": clock.rate(images - done_before)})
        reporter.pause_if_asked()
    return clock.rate(images - done_before)
