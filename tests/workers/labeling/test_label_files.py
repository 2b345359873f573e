"""Label files on disk. Without torch, so that `make test-lowest-pyarrow` can run them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers.data.errors import BrokenImage
from workers.labeling.label_files import Hygiene, label_table, read_summary, write_label_file
from workers.leakage.evaluation_index import NearDuplicate
from workers.specs.hygiene import BrokenKind


def hygiene_of(rows: int, broken: dict[int, BrokenImage] | None = None) -> Hygiene:
    return Hygiene([b"0" * 16] * rows, [None] * rows, broken or {}, {})


def test_many_classes_keep_the_top_k_and_few_keep_all() -> None:
    rng = np.random.default_rng(0)
    many = rng.dirichlet(np.ones(101), size=3000).astype(np.float32)
    table, _ = label_table([""] * 3000, hygiene_of(3000), many, top_k=7)
    assert table.schema.field("top_classes").type == pa.list_(pa.int32(), 7)
    # Seven of 101 classes do not hold 99.9 %.
    expected = np.sort(many, axis=1)[:, ::-1][:, :7].astype(np.float16)
    np.testing.assert_array_equal(np.array(table["top_probabilities"].to_pylist(), dtype=np.float16), expected)
    table, _ = label_table(["a"], hygiene_of(1), many[:1, :100], top_k=7)
    assert table.schema.field("top_probabilities").type == pa.list_(pa.float16(), 100)


def test_classes_are_kept_until_they_hold_nearly_all_of_the_probability() -> None:
    rows = np.zeros((4, 1000), dtype=np.float32)
    rows[0, [3, 7]] = 0.9995, 0.0005  # one class is enough, but top-5 accuracy needs five
    rows[1, :20] = 0.05
    rows[2, :800] = 1 / 800
    rows[3] = 0.0001  # every other class is too improbable to be worth its bytes
    rows[3, 9] = 0.9001
    table, _ = label_table([""] * 4, hygiene_of(4), rows, top_k=64)
    kept = [[each for each in classes if each >= 0] for classes in table["top_classes"].to_pylist()]
    assert [len(each) for each in kept] == [5, 20, 64, 5]
    assert kept[0][:2] == [3, 7]
    assert table["label"].to_pylist() == [3, 0, 0, 9]
    sums = np.array(table["top_probabilities"].to_pylist(), dtype=np.float32).sum(axis=1)
    assert sums == pytest.approx([1, 1, 64 / 800, 0.9005], abs=2e-3)


@pytest.mark.parametrize(("sharpness", "most_bytes"), [(12.0, 100), (0.0, 300)])
def test_a_label_file_of_a_thousand_classes_is_small(tmp_path: Path, sharpness: float, most_bytes: int) -> None:
    """Peaked predictions (a median of 0.99) take at most 100 bytes a row, flat ones, the worst, 300."""
    rng = np.random.default_rng(0)
    rows = 5000
    logits = rng.normal(size=(rows, 1000))
    logits[np.arange(rows), rng.integers(0, 1000, rows)] += rng.normal(sharpness, 2, rows) if sharpness else 0
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    hygiene = Hygiene(
        [rng.bytes(16) for _ in range(rows)],
        [None] * rows,
        {},
        {row: int(look) for row, look in enumerate(rng.integers(0, 2**63, rows))},
    )
    keys = [f"train-{row // 1000:05d}.parquet:{row}" for row in range(rows)]
    table, _ = label_table(keys, hygiene, probabilities.astype(np.float32), top_k=64)
    write_label_file(str(tmp_path), 0, table, {})
    assert (tmp_path / "part-00000.parquet").stat().st_size < most_bytes * rows


def test_label_file_keeps_no_label_for_broken_rows_and_its_numbers_in_the_footer(tmp_path: Path) -> None:
    probabilities = np.array([[0.1, 0.7, 0.2], [np.nan] * 3, [0.5, 0.25, 0.25]], dtype=np.float32)
    hashes = [bytes([n]) * 16 for n in range(3)]
    hygiene = Hygiene(
        content_hashes=hashes,
        excluded=[None, None, "held_out"],
        broken={1: BrokenImage(BrokenKind.TRUNCATED, "3 bytes are missing")},
        perceptual_hashes={0: 2**64 - 1},
        near_duplicates=[NearDuplicate(row=0, distance=2, evaluation_dataset="ds-1", evaluation_key="e")],
    )
    table, summary = label_table(["a", "b", "c"], hygiene, probabilities, top_k=10)
    write_label_file(str(tmp_path), 4, table, hygiene.broken, hygiene.near_duplicates)

    read = pq.read_table(tmp_path / "part-00004.parquet")
    assert read.schema.types == [
        pa.string(), pa.binary(16), pa.uint64(), pa.string(), pa.int32(), pa.float32(), pa.float32(),
        pa.list_(pa.int32(), 3), pa.list_(pa.float16(), 3),
    ]  # fmt: skip
    assert read["perceptual_hash"].to_pylist() == [2**64 - 1, None, None]
    assert read["excluded"].to_pylist() == [None, None, "held_out"]
    assert read["doubt"].to_pylist() == [pytest.approx(0.3), None, None]
    assert read["key"].to_pylist() == ["a", "b", "c"]
    assert read["content_hash"].to_pylist() == hashes
    assert read["label"].to_pylist() == [1, None, 0]
    assert read["confidence"].to_pylist() == [pytest.approx(0.7), None, 0.5]
    assert read["top_classes"].to_pylist() == [[1, 2, 0], [0, 1, 2], [0, 1, 2]]
    assert read["top_probabilities"].to_pylist()[1] == [0, 0, 0]
    assert read["top_probabilities"].to_pylist()[2] == [0.5, 0.25, 0.25]
    assert read_summary(str(tmp_path), 4) == summary
    assert (summary.rows, summary.bad, summary.bad_by_kind) == (3, 1, {BrokenKind.TRUNCATED: 1})
    assert (summary.held_out, summary.near_duplicates) == (1, 1)
    assert summary.confidence_sum == pytest.approx(1.2)
    assert pq.read_table(tmp_path / "quarantine" / "part-00004.parquet").to_pylist() == [
        {"key": "b", "row": 1, "kind": "truncated", "reason": "3 bytes are missing"}
    ]
    assert pq.read_table(tmp_path / "near_duplicates" / "part-00004.parquet").to_pylist() == [
        {"key": "a", "row": 0, "distance": 2, "evaluation_dataset": "ds-1", "evaluation_key": "e"}
    ]
    assert not list(tmp_path.rglob("*.tmp"))


def test_rows_of_a_label_file_stay_aligned_for_a_reader_of_flat_values(tmp_path: Path) -> None:
    probabilities = np.array([[np.nan, np.nan], [0.25, 0.75]], dtype=np.float32)
    hygiene = hygiene_of(2, {0: BrokenImage(BrokenKind.EMPTY, "no bytes")})
    table, _ = label_table(["a", "b"], hygiene, probabilities, top_k=2)
    write_label_file(str(tmp_path), 0, table, hygiene.broken)
    column = pq.read_table(tmp_path / "part-00000.parquet")["top_probabilities"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    assert column.values.to_numpy(zero_copy_only=False).reshape(2, 2)[1].tolist() == [0.75, 0.25]
    # pyarrow 20, 23 and 24 write no null list, and 25 reads none.
    assert column.null_count == column.values.null_count == 0, (
        "pyarrow 20 and 24 do not write a null list, 25 reads none"
    )


def test_a_file_without_a_summary_is_not_taken_for_a_label_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [1]}), tmp_path / "part-00000.parquet")
    (tmp_path / "part-00001.parquet").write_bytes(b"garbage")
    assert read_summary(str(tmp_path), 0) is None
    assert read_summary(str(tmp_path), 1) is None
