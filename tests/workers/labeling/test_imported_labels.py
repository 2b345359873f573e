"""Labels that somebody else has made, written by pandas and pyarrow: what the label stage makes of them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.pool_in_process import PoolInProcess
from workers.labeling import imported_join, resumed_shards, stage
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import FingerprintedImages
from workers.specs.labeling import ImportedTable
from workers.specs.reports import FailureReason
from workers.specs.results import LabelResult
from workers.specs.selection import SelectionSettings
from workers.specs.stages import ActorPool, LabelSpec, SelectSpec

CLASSES = ("cat", "dog", "fox")
ROWS, SHARDS = 4, 3


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Pool(PoolInProcess):
    """Three shards of four pictures with keys `k0` to `k11`, of which `k5` is broken and `k7` a test image."""

    keys = tuple(f"k{number}" for number in range(ROWS * SHARDS))

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        for shard in range(SHARDS):
            numbers = range(ROWS * shard, ROWS * shard + ROWS)
            images = [b"broken" if number == 5 else picture(number) for number in numbers]
            pq.write_table(
                pa.table({"image": images, "key": self.keys[numbers.start : numbers.stop]}), self.file(shard)
            )
        self.manifest("pool", tuple(Shard(uri=str(self.file(shard)), rows=ROWS) for shard in range(SHARDS)))
        pq.write_table(pa.table({"image": [picture(7)], "key": ["t"], "label": ["cat"]}), root / "t.parquet")
        self.manifest(
            "test",
            (Shard(uri=str(root / "t.parquet"), rows=1),),
            role="evaluation",
            classes=CLASSES,
            label_column="label",
        )
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)

    def file(self, shard: int) -> Path:
        return self.root / f"{'zyx'[shard]}.parquet"

    def manifest(self, name: str, shards: tuple[Shard, ...], **changes: object) -> None:
        of_pool = {"role": "unlabeled", "format": "parquet", "classes": (), "key_column": "key"}
        rows = sum(shard.rows for shard in shards)
        manifest = DatasetManifest.model_validate(
            {"dataset_id": name, "rows": rows, "shards": shards, **of_pool, **changes}
        )
        (self.root / f"{name}.json").write_text(manifest.model_dump_json())

    def run(self, uri: Path, attempt: int = 1, key_column: str | None = None) -> LabelResult:
        self.labeled = []
        test = FingerprintedImages(
            manifest_uri=str(self.root / "test.json"), fingerprints_uri=str(self.root / "prints.parquet")
        )
        spec = LabelSpec(
            run_id="r", generation=1, attempt=attempt, folder_uri=str(self.root / "label"), seed=0,
            max_bad_fraction=0.2,
            model_uri=str(self.root / "no model is needed"), manifest_uri=str(self.root / "pool.json"),
            pool=ActorPool(), evaluation_images=(test,), near_duplicate_distance=4, batch_size=3,
            imported=ImportedTable(uri=str(uri), key_column=key_column, classes=CLASSES),
        )  # fmt: skip
        (self.root / "label").mkdir(exist_ok=True)
        return stage.run_label(spec, StageReporter(spec, entered_at=0.0))

    def refused(self, uri: Path) -> str:
        with pytest.raises(StageError) as caught:
            self.run(uri)
        assert caught.value.reason == FailureReason.BAD_DATA
        assert self.labeled == []
        return caught.value.message

    def rows(self) -> dict[str, dict[str, object]]:
        """The rows of the label files by key."""
        tables = [pq.read_table(self.root / "label" / f"part-{shard:05d}.parquet") for shard in range(SHARDS)]
        return {str(row["key"]): row for table in tables for row in table.to_pylist()}

    def table(self, **columns: object) -> Path:
        """Writes a table in a shuffled order."""
        frame = pd.DataFrame(columns).sample(frac=1, random_state=3)
        frame.to_parquet(self.root / "labels.parquet", index=False)
        return self.root / "labels.parquet"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(tmp_path, monkeypatch)


def test_labels_by_name_and_confidence_are_those_of_their_keys(pool: Pool) -> None:
    names = [CLASSES[number % 3] for number in range(12)]
    confidences = np.linspace(0.4, 1.0, 12)
    result = pool.run(pool.table(key=list(pool.keys), label=names, confidence=confidences))
    rows = pool.rows()
    for number, key in enumerate(pool.keys):
        row = rows[key]
        if number == 5:
            assert (row["label"], row["doubt"]) == (None, None)
            continue
        assert row["label"] == number % 3
        assert row["confidence"] == pytest.approx(confidences[number], abs=1e-6)
        assert (row["doubt"] is None) == (number == 7)
        rest = (1 - confidences[number]) / 2
        assert sorted(row["top_probabilities"]) == pytest.approx(  # type: ignore[call-overload]
            sorted([confidences[number], rest, rest]), abs=1e-3
        )
    assert (result.images, result.labeled, result.bad_images, result.held_out) == (12, 11, 1, 1)
    assert (result.imported_labels, result.imported_unknown, result.without_label) == (12, 0, 0)
    assert result.labeled_by is not None
    assert (result.labeled_by.model_uris, len(result.labeled_by.imported or "")) == ((), 32)
    assert result.labeled_by.imported in pq.read_metadata(pool.root / "label/part-00000.parquet").metadata[
        b"noisy_student.labeled_by"
    ].decode()  # fmt: skip


def test_rows_without_a_label_are_excluded_and_unknown_keys_are_counted(pool: Pool) -> None:
    keys = ["k0", "k2", "k3", "k11", "stranger", "another"]
    result = pool.run(pool.table(key=keys, label=["cat", "dog", None, "fox", "cat", "dog"]))
    rows = pool.rows()
    assert rows["k7"]["label"] is None
    assert {key: row["label"] for key, row in rows.items() if row["label"] is not None} == {"k0": 0, "k2": 1, "k11": 2}
    assert rows["k3"]["excluded"] == rows["k1"]["excluded"] == "no_label"
    assert (rows["k7"]["excluded"], rows["k5"]["excluded"]) == ("held_out", None)
    assert rows["k1"]["perceptual_hash"] is not None, "it was looked at all the same"
    # Of twelve, three have a label and one is broken. k7, a test image, has no label either.
    assert (result.labeled, result.without_label, result.bad_images, result.held_out) == (3, 8, 1, 1)
    assert (result.imported_labels, result.imported_unknown) == (5, 2)
    assert result.mean_confidence == pytest.approx(1.0)


def test_the_selection_filters_and_balances_them_as_ever(pool: Pool) -> None:
    labels = {"k0": "cat", "k1": "cat", "k2": "cat", "k3": "dog", "k4": "fox", "k6": "dog", "k7": "cat"}
    confidences = [0.9, 0.8, 0.4, 0.7, 0.35, 0.95, 1.0]
    result = pool.run(pool.table(key=list(labels), label=list(labels.values()), confidence=confidences))
    (pool.root / "label" / "result.json").write_text(result.model_dump_json())
    spec = SelectSpec(
        run_id="r", generation=1, attempt=1, folder_uri=str(pool.root / "select"), seed=0, classes=CLASSES,
        manifest_uri=str(pool.root / "pool.json"), labels_uri=str(pool.root / "label"),
        settings=SelectionSettings(min_confidence=0.5, max_per_class=1),
    )  # fmt: skip
    selected = run_select(spec, StageReporter(spec, entered_at=0.0))
    assert {each.name: each.kept for each in selected.classes} == {"cat": 1, "dog": 1, "fox": 0}
    assert (selected.dropped_low_confidence, selected.dropped_held_out) == (2, 1)
    assert (selected.dropped_bad, selected.dropped_without_label, selected.images_labeled) == (1, 4, 7)
    # The most confident of each class: k0 is row 0 of the first shard, k6 row 2 of the second.
    kept = [pq.read_table(pool.root / f"select/part-{shard:05d}.parquet")["row"].to_pylist() for shard in range(2)]
    assert kept == [[0], [2]]


def test_several_files_with_index_labels_are_one_table(pool: Pool) -> None:
    folder = pool.root / "tables" / "deep"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    pq.write_table(pa.table({"image_id": ["k11", "k0"], "label": pa.array([2, 0], pa.int64())}), folder / "b.parquet")
    pq.write_table(pa.table({"image_id": ["k1"], "label": pa.array([1], pa.uint8())}), folder / "a.parquet")
    result = pool.run(pool.root / "tables", key_column="image_id")
    assert {key: row["label"] for key, row in pool.rows().items() if row["label"] is not None} == {
        "k0": 0, "k1": 1, "k11": 2
    }  # fmt: skip
    assert result.imported_labels == 3


def test_probabilities_may_be_dense_or_listed(pool: Pool) -> None:
    dense = pa.array([[0.1, 0.6, 0.2], [0.0, 0.0, 1.0]], pa.list_(pa.float64()))
    pq.write_table(pa.table({"key": ["k0", "k9"], "probabilities": dense}), pool.root / "dense.parquet")
    pool.run(pool.root / "dense.parquet")
    rows = pool.rows()
    assert rows["k0"]["top_classes"] == [1, 2, 0]
    assert rows["k0"]["top_probabilities"] == pytest.approx([0.6 + 0.1 / 3, 0.2 + 0.1 / 3, 0.1 + 0.1 / 3], abs=1e-3)
    assert (rows["k9"]["label"], rows["k9"]["doubt"]) == (2, 0)
    listed = pa.table(
        {
            "key": ["k0", "k9"],
            "top_classes": pa.array([["fox"], ["dog", "cat"]]),
            "top_probabilities": pa.array([[0.5], [0.5, 0.4]], pa.list_(pa.float16())),
        }
    )
    pq.write_table(listed, pool.root / "listed.parquet")
    pool.run(pool.root / "listed.parquet", attempt=2)
    rows = pool.rows()
    assert (rows["k0"]["label"], rows["k0"]["top_probabilities"]) == (2, pytest.approx([0.5, 0.25, 0.25], abs=1e-3))
    assert rows["k9"]["top_probabilities"] == pytest.approx([0.5, 0.4, 0.1], abs=1e-3)


def test_label_files_of_a_run_are_a_table_too(pool: Pool) -> None:
    names = [CLASSES[number % 3] for number in range(12)]
    pool.run(pool.table(key=list(pool.keys), label=names, confidence=[0.8] * 12))
    before = pool.rows()
    (pool.root / "label").rename(pool.root / "exported")
    for folder in ("imported", "quarantine", "near_duplicates", "duplicates"):
        for file in (pool.root / "exported" / folder).glob("*"):
            file.unlink()
    pool.run(pool.root / "exported")
    assert {key: row["label"] for key, row in pool.rows().items()} == {key: row["label"] for key, row in before.items()}


def test_images_are_named_by_uri_where_they_have_one(pool: Pool) -> None:
    for number in range(3):
        (pool.root / "folder").mkdir(exist_ok=True)
        (pool.root / "folder" / f"{number}.png").write_bytes(picture(number))
    names = ("0.png", "1.png", "2.png")
    pool.manifest(
        "pool", (Shard(uri=str(pool.root / "folder"), rows=3, members=names),), format="image_folder", key_column=None
    )
    uris = [str(pool.root / "folder" / name) for name in names]
    result = pool.run(pool.table(uri=uris, label=["cat", "dog", "fox"]))
    assert result.labeled == 3
    table = pq.read_table(pool.root / "label/part-00000.parquet")
    assert table["label"].to_pylist() == [0, 1, 2]


def test_a_rerun_labels_nothing_again_unless_the_table_has_changed(pool: Pool) -> None:
    table = pool.table(key=list(pool.keys), label=["cat"] * 12)
    pool.run(table)
    assert pool.labeled == [0, 1, 2]
    pool.run(table, attempt=2)
    assert pool.labeled == []
    pool.run(pool.table(key=list(pool.keys), label=["dog"] * 12), attempt=3)
    assert pool.labeled == [0, 1, 2]
    assert {row["label"] for key, row in pool.rows().items() if key != "k5"} == {1}


def test_a_pool_that_does_not_fit_into_memory_is_joined_part_by_part(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pool.table(key=list(pool.keys), label=[CLASSES[number % 3] for number in range(12)])
    pool.run(table)
    whole = pool.rows()
    monkeypatch.setattr(imported_join, "_BYTES_AT_A_TIME", 5 * imported_join._BYTES_A_ROW)
    (pool.root / "label").rename(pool.root / "whole")
    result = pool.run(table)
    assert pool.rows() == whole
    assert (result.imported_labels, result.imported_unknown) == (12, 0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"key": ["k0", "k1"], "label": ["cat", "wolf"]}, "row 1: its class is none of the 3 classes"),
        ({"key": ["k0", "k1"], "label": [0, 3]}, "row 1: its class is none of the 3 classes"),
        ({"key": ["k0", None], "label": ["cat", "dog"]}, "row 1: it has no key"),
        ({"key": ["k3", "k0", "k3"], "label": ["cat"] * 3}, "row 2: its key is that of row 0"),
        ({"key": ["k0"], "label": ["cat"], "confidence": [float("nan")]}, "row 0: its confidence is not in 0..1"),
        ({"key": ["k0"], "label": ["cat"], "confidence": [1.2]}, "row 0: its confidence is not in 0..1"),
        ({"key": ["k0"], "label": ["cat"], "confidence": [0.2]}, "row 0: its confidence is below 0.333"),
        ({"key": ["k0", "k1"], "probabilities": [[0.5, 0.5, 0.0], [0.5, 0.5, 0.1]]}, "row 1: its probabilities sum to"),
        ({"key": ["k0"], "probabilities": [[0.5, float("nan"), 0.1]]}, "row 0: a probability is negative, null or NaN"),
        ({"key": ["k0"], "probabilities": [[-0.5, 0.5, 0.1]]}, "row 0: a probability is negative, null or NaN"),
        ({"key": ["k0"], "probabilities": [[0.5, 0.5]]}, "row 0: it does not have 3 probabilities"),
        ({"key": ["k0"], "probabilities": [[0.0, 0.0, 0.0]]}, "row 0: all its probabilities are 0"),
        ({"key": ["k0"], "top_classes": [[0, 0]], "top_probabilities": [[0.5, 0.5]]}, "row 0: it lists a class twice"),
        ({"key": ["k0"], "top_classes": [[0]], "top_probabilities": [[0.5, 0.5]]}, "row 0: its top_classes and"),
        ({"key": ["k0"], "label": [0.5]}, "column 'label' holds double, not text or whole numbers"),
        ({"name": ["k0"], "label": ["cat"]}, "no column `key` or `uri`; it has name, label"),
        ({"key": ["k0"]}, "no column `label`, `probabilities`, or"),
        ({"key": ["q1"], "label": ["cat"]}, "none of the 1 labels at"),
        ({"uri": ["/k0.png"], "label": ["cat"]}, "have none, since it is of the format parquet"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_by_file_and_row(
    pool: Pool, columns: dict[str, object], message: str
) -> None:
    pq.write_table(pa.table(columns), pool.root / "bad.parquet")
    said = pool.refused(pool.root / "bad.parquet")
    assert said.startswith("labeling.imported: ")
    assert "bad.parquet" in said
    assert message in said


def test_a_key_that_names_two_images_is_refused(pool: Pool) -> None:
    shards = tuple(Shard(uri=str(pool.file(0)), rows=ROWS) for _ in range(2))
    pool.manifest("pool", shards)
    message = pool.refused(pool.table(key=["k1"], label=["cat"]))
    assert "row 0: its key k1 names two images" in message


def test_a_place_without_tables_is_refused(pool: Pool) -> None:
    (pool.root / "empty").mkdir()
    assert "no file that ends in .parquet" in pool.refused(pool.root / "empty")
    assert "absent" in pool.refused(pool.root / "absent")
    (pool.root / "text.parquet").write_text("key,label")
    assert "text.parquet: not a readable Parquet file" in pool.refused(pool.root / "text.parquet")
