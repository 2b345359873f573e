"""What a failing pool of actors tells its stage. The actors themselves are tested in tests/end_to_end."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from workers.runtime import shard_pool
from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.specs.stages import ActorPool


def test_actors_that_are_lost_over_and_over_end_the_stage_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(
        make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[dict[str, Any]]:
        raise ActorUnavailableError("socket closed", actor_id=None)
        yield

    monkeypatch.setattr(shard_pool, "_rows", rows)
    with pytest.raises(StageError, match="actors were lost over and over") as raised:
        list(map_shards(lambda: bytes, range(3), ActorPool()))
    assert raised.value.reason == FailureReason.STAGE_ERROR
