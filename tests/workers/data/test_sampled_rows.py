"""Which images of a dataset are drawn where some of them are enough."""

from hypothesis import given
from hypothesis import strategies as st

from workers.data.sampled_rows import sampled_rows
from workers.specs.datasets import DatasetManifest, Shard


def manifest(*rows: int, dataset_id: str = "ds-1") -> DatasetManifest:
    return DatasetManifest(
        dataset_id=dataset_id,
        role="evaluation",
        format="parquet",
        classes=("a", "b"),
        label_column="label",
        rows=sum(rows),
        shards=tuple(Shard(uri=f"/{n}.parquet", rows=count) for n, count in enumerate(rows)),
    )


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(lambda rows: sum(rows) > 0), st.integers(1, 100))
def test_the_sample_is_of_distinct_rows_that_are_there(rows, sample):
    drawn = sampled_rows(manifest(*rows), sample)
    flat = [(shard, row) for shard, members in drawn.items() for row in members]
    assert len(flat) == len(set(flat)) == min(sample, sum(rows))
    assert all(0 <= row < rows[shard] for shard, row in flat)


def test_every_model_sees_the_same_sample_and_another_set_has_another():
    assert sampled_rows(manifest(500), 50) == sampled_rows(manifest(500), 50)
    assert sampled_rows(manifest(500), 50) != sampled_rows(manifest(500, dataset_id="ds-2"), 50)
