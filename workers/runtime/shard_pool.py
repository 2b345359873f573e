"""Calls a function for each shard on an autoscaling pool of Ray Data actors. Labeling and evaluation share it.

One row of the Ray dataset stands for one input shard: a shard's result is whole or missing, and Ray Data moves only a
few bytes for each shard.
"""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray.data
from ray.exceptions import RayActorError
from ray.util.annotations import RayDeprecationWarning

from workers.artifact_io import is_store_error
from workers.data.errors import ShardReadError, read_failure
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.specs.stages import ActorPool

ShardFunction = Callable[[int], bytes]
"""Does the work of the shard with that index. It returns a few kilobytes for the driver."""

_MAX_BLOCKS = 10_000
"""Each block is an object in Ray's store. In larger manifests a block holds several shards."""
_TASK_RETRIES = 100
"""Nodes may be lost again and again, and each costs a task some six tries until Ray is sure of the loss. But a task
that kills its actor every time must end, and by default Ray Data tries for ever."""
_LOST_ACTORS_AT_START = 20
"""How many actors in a row may be lost before one starts. Ray Data's default, none, ends the stage with the first
preempted node."""
_OUTCOME = pa.schema(
    [
        ("shard", pa.int64()),
        ("started_at", pa.float64()),
        ("ended_at", pa.float64()),
        ("payload", pa.binary()),
        ("failure", pa.string()),
        ("message", pa.string()),
    ]
)


@dataclass(frozen=True)
class ShardDone:
    """The result of one shard, and when its actor began and ended it (Unix seconds, without the actor's set-up)."""

    shard_index: int
    started_at: float
    ended_at: float
    payload: bytes


def map_shards(
    make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
) -> Iterator[ShardDone]:
    """Yields the result of each shard as it arrives, in any order. Call ray.init() first.

    `make_function` is called once in each actor, to load the model. Raises StageError with the reason of the first
    shard or actor that failed; files that other shards have written stay. If actors or nodes are lost, the function may
    be called again for a shard that it has finished. It is Ray Data's map_batches on an ActorPoolStrategy
    (https://docs.ray.io/en/latest/data/transforming-data.html).
    """
    try:
        for row in _rows(make_function, shard_indices, pool):
            if row["failure"] is not None:
                raise StageError(FailureReason(row["failure"]), row["message"])
            yield ShardDone(row["shard"], row["started_at"], row["ended_at"], row["payload"])
    except RayActorError as error:
        message = f"actors were lost over and over; perhaps one shard ends each of them, by its memory for one: {error}"
        raise StageError(FailureReason.STAGE_ERROR, message) from error


def _rows(
    make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
) -> Iterator[dict[str, Any]]:
    if not shard_indices:
        return
    set_data_context(pool)
    most = len(shard_indices) if pool.max_actors is None else min(pool.max_actors, len(shard_indices))
    shards = ray.data.from_items(
        [{"shard": index} for index in shard_indices], override_num_blocks=min(len(shard_indices), _MAX_BLOCKS)
    )
    with warnings.catch_warnings():
        # Ray Data has no option for max_task_retries; passing it on in this way is deprecated, and ends with Ray 2.64.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        outcomes = shards.map_batches(
            ShardActor,
            fn_constructor_args=(make_function,),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=pool.cpus_per_actor,
            num_gpus=pool.gpus_per_actor or None,
            max_task_retries=_TASK_RETRIES,
            compute=ray.data.ActorPoolStrategy(
                min_size=min(pool.min_actors, most), max_size=most, max_tasks_in_flight_per_actor=2
            ),
        )
    yield from outcomes.iter_rows()


class ShardActor:
    """Wraps the function for Ray Data. Failures travel as values, because Ray would lose their reason."""

    def __init__(self, make_function: Callable[[], ShardFunction]) -> None:
        self._make_function = make_function
        self._function: ShardFunction | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Takes a table with one shard index, and returns a table with one outcome."""
        shard = batch["shard"][0].as_py()
        outcome: dict[str, object] = {"shard": shard}
        try:
            if self._function is None:
                # Not in __init__: Ray would restart an actor that cannot load its model over and over.
                self._function = self._make_function()
            outcome["started_at"] = time.time()
            outcome["payload"] = self._function(shard)
            outcome["ended_at"] = time.time()
        except Exception as error:
            traceback.print_exc()
            failure = as_stage_error(error)
            outcome["failure"], outcome["message"] = failure.reason.value, failure.message
        return pa.Table.from_pylist([outcome], schema=_OUTCOME)


def as_stage_error(error: Exception) -> StageError:
    """What an exception in an actor means for the stage."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, ShardReadError):
        return StageError(read_failure(error), str(error))
    text = f"{type(error).__name__}: {error}"
    if is_store_error(error):
        return StageError(FailureReason.ARTIFACT_STORE, text)
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's
    return StageError(FailureReason.OUT_OF_MEMORY if out_of_memory else FailureReason.STAGE_ERROR, text)


def set_data_context(pool: ActorPool) -> None:
    """Of all that this process does with Ray Data: what it starts, and what it asks the autoscaler for."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.label_selector = dict(pool.node_labels or {}) or None
    context.max_consecutive_actor_init_deaths = _LOST_ACTORS_AT_START
