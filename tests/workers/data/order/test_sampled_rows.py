"""Which images of a dataset are drawn for a sample."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.made_manifests import manifest
from workers.data.order.sampled_rows import sampled_rows


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(lambda rows: sum(rows) > 0), st.integers(1, 100))
def test_the_sample_is_of_distinct_rows_that_are_there(rows: list[int], sample: int) -> None:
    drawn = sampled_rows(manifest(*rows), sample)
    flat = [(shard, row) for shard, members in drawn.items() for row in members]
    assert len(flat) == len(set(flat)) == min(sample, sum(rows))
    assert all(0 <= row < rows[shard] for shard, row in flat)


def test_every_model_sees_the_same_sample_and_another_set_has_another() -> None:
    assert sampled_rows(manifest(500), 50) == sampled_rows(manifest(500), 50)
    assert sampled_rows(manifest(500), 50) != sampled_rows(manifest(500, dataset_id="ds-2"), 50)
