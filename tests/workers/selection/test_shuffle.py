"""How selected rows are divided into runs and training shards, as values."""

import numpy as np
import pytest

from workers.selection.shuffle import RunPart, Shuffle
from workers.specs.figures import TRAINING_SHARDS_A_RUN


def test_a_run_has_the_rows_of_several_training_shards() -> None:
    plan = Shuffle.of([3, 0, 5], copies=16, rows_per_shard=2)

    assert plan.starts.tolist() == [0, 3, 3, 8]
    assert plan.starts.dtype == np.int64
    assert plan.rows_a_run == 2 * TRAINING_SHARDS_A_RUN


@pytest.mark.parametrize(
    ("copies", "rows_per_shard", "shards"), [(0, 4, 1), (1, 4, 1), (8, 4, 2), (9, 4, 3), (7, 1, 7)]
)
def test_the_last_training_shard_may_be_smaller_and_there_is_one_at_least(
    copies: int, rows_per_shard: int, shards: int
) -> None:
    assert Shuffle.of([copies], copies, rows_per_shard).training_shards == shards


def test_the_last_run_has_what_is_left() -> None:
    plan = Shuffle(np.array([0, 3, 3, 8, 10]), rows_a_run=4, training_shards=1)

    assert plan.runs == 3
    assert [list(plan.parts(run)) for run in range(3)] == [
        [RunPart(0, 0, 3), RunPart(2, 0, 1)],
        [RunPart(2, 1, 5)],
        [RunPart(3, 0, 2)],
    ]
    assert Shuffle(np.array([0, 8]), rows_a_run=4, training_shards=1).runs == 2
    assert Shuffle(np.array([0]), rows_a_run=4, training_shards=1).runs == 0


def test_training_shards_are_equal_ranges_of_keys() -> None:
    plan = Shuffle(np.array([0, 9]), rows_a_run=9, training_shards=4)
    quarter = 1 << 62
    keys = np.array([0, quarter - 1, quarter, 2 * quarter, 3 * quarter - 1, 3 * quarter, 4 * quarter - 1], np.uint64)

    assert plan.training_shard_of(keys).tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert plan.training_shard_of(keys).dtype == np.int64
