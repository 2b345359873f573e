"""The predict stage on real pictures in this process. A loop replaces the pool of actors."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.support.pool_in_process import PoolInProcess
from workers.labeling import resumed_shards
from workers.labeling.shard_labeler import ShardLabeler
from workers.models.create import create_model
from workers.models.files import write_model
from workers.prediction.part_files import CLASSES_KEY
from workers.prediction.stage import run_predict
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, DatasetRole, Shard
from workers.specs.model_card import ModelCard
from workers.specs.prediction import KnownTruth, PredictionOutcome
from workers.specs.reports import FailureReason
from workers.specs.stages import ActorPool, LabelSpec, PredictSpec

CLASSES = tuple(f"class {number}" for number in range(12))


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Pool(PoolInProcess):
    """Three shards of four pictures, one of them broken, and a model of twelve classes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        self.images = [[png(shard * 4 + row) for row in range(4)] for shard in range(3)]
        self.images[1][2] = self.images[1][2][:40]
        self.write("unlabeled", ())
        torch.manual_seed(0)
        card = ModelCard(
            model="test_resnet", classes=CLASSES, image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
            parameters=1, run_id="r", generation=0, validation_top1=0.0,
        )  # fmt: skip
        write_model(str(root / "model"), create_model("test_resnet", 12, 28, 0.3, 0.1).state_dict(), card)
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)

    def write(self, role: DatasetRole, labels: tuple[str, ...]) -> None:
        """Writes the shards. `labels` has the class of all twelve pictures, or nothing."""
        classes = tuple(sorted(set(labels)))
        for shard, images in enumerate(self.images):
            columns = {"image": images} | ({"label": labels[4 * shard : 4 * shard + 4]} if labels else {})
            pq.write_table(pa.table(columns), self.root / f"s{shard}.parquet")
        manifest = DatasetManifest(
            dataset_id="d", role=role, format="parquet", classes=classes, rows=12,
            label_column="label" if labels else None,
            shards=tuple(Shard(uri=str(self.root / f"s{shard}.parquet"), rows=4) for shard in range(3)),
        )  # fmt: skip
        (self.root / "manifest.json").write_text(manifest.model_dump_json())

    def spec(self, attempt: int = 1, **changes: object) -> PredictSpec:
        given = {"max_bad_fraction": 1.0, "model_id": "r-g0", **changes}
        return PredictSpec.model_validate({**self._common(attempt, "predict"), **given})

    def label_spec(self) -> LabelSpec:
        return LabelSpec.model_validate(self._common(1, "label"))

    def _common(self, attempt: int, folder: str) -> dict[str, object]:
        (self.root / folder).mkdir(exist_ok=True)
        return {
            "run_id": "r", "generation": 0, "attempt": attempt, "folder_uri": str(self.root / folder), "seed": 0,
            "model_uri": str(self.root / "model"), "batch_size": 3,
            "manifest_uri": str(self.root / "manifest.json"), "pool": ActorPool(),
        }  # fmt: skip

    def run(self, attempt: int = 1, **changes: object) -> PredictionOutcome:
        self.labeled = []
        spec = self.spec(attempt, **changes)
        return run_predict(spec, StageReporter(spec, entered_at=0.0)).outcome

    def parts(self, folder: str = "predict") -> list[pa.Table]:
        return [pq.read_table(self.root / folder / f"part-{shard:05d}.parquet") for shard in range(3)]


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(tmp_path, monkeypatch)


def test_predictions_are_the_label_stages_labels_bit_for_bit(pool: Pool) -> None:
    outcome = pool.run(top_k=None)
    labeler = ShardLabeler(pool.label_spec())
    for shard in range(3):
        labeler(shard)
    for predicted, labeled in zip(pool.parts(), pool.parts("label"), strict=True):
        for name in ("key", "label", "confidence"):
            assert predicted[name].combine_chunks().equals(labeled[name].combine_chunks()), name
        for row in range(4):
            if labeled["label"][row].as_py() is not None:
                assert predicted["top_classes"][row].as_py() == labeled["top_classes"][row].as_py()
                whole = np.array(predicted["top_probabilities"][row].as_py(), dtype=np.float32)
                assert whole.astype(np.float16).tolist() == labeled["top_probabilities"][row].as_py()
                assert whole.sum() == pytest.approx(1, abs=1e-5)
    assert (outcome.images, outcome.predicted, outcome.bad_images, outcome.shards) == (12, 11, 1, 3)
    assert outcome.truth is None


def test_a_row_has_the_label_by_index_and_name_and_its_best_classes(pool: Pool) -> None:
    pool.run(top_k=2)
    for table in pool.parts():
        classes = json.loads(table.schema.metadata[CLASSES_KEY])
        assert tuple(classes) == CLASSES
        for row in table.to_pylist():
            if row["broken"] is not None:
                continue
            assert row["label_name"] == classes[row["label"]]
            assert row["top_names"] == [classes[index] for index in row["top_classes"]]
            assert row["top_classes"][0] == row["label"]
            assert len(row["top_probabilities"]) == 2
            assert row["top_probabilities"][0] == pytest.approx(row["confidence"], abs=1e-6)


def test_a_broken_image_is_a_row_of_nulls_with_its_reason(pool: Pool) -> None:
    pool.run()
    row = pool.parts()[1].to_pylist()[2]
    assert row["key"] == "s1.parquet:2"
    assert row["broken"] == "truncated"
    assert row["reason"]
    empty = ("label", "label_name", "confidence", "top_classes", "top_names", "top_probabilities")
    assert {row[name] for name in empty} == {None}


def test_a_rerun_predicts_only_the_missing_shards_and_counts_them_all(pool: Pool) -> None:
    first = pool.run()
    (pool.root / "predict" / "part-00002.parquet").unlink()
    again = pool.run(attempt=2)
    assert pool.labeled == [2]
    assert again.shards_resumed == 2
    assert again.model_copy(update={"shards_resumed": 0, "images_per_second": 0.0}) == first.model_copy(
        update={"images_per_second": 0.0}
    )


def test_predictions_of_another_number_of_classes_are_made_again(pool: Pool) -> None:
    pool.run(top_k=2)
    pool.run(attempt=2, top_k=3)
    assert pool.labeled == [0, 1, 2]
    assert len(pool.parts()[0]["top_classes"][0]) == 3


def test_a_dataset_with_labels_gives_accuracy_by_class_name(pool: Pool) -> None:
    pool.run()
    names = [row["label_name"] or "class 0" for table in pool.parts() for row in table.to_pylist()]
    wrong = next(name for name in CLASSES if name != names[0])
    truth = [wrong, "no class of the model", *names[2:]]
    pool.write("evaluation", tuple(truth))
    outcome = pool.run(attempt=2, manifest_uri=str(pool.root / "manifest.json"), top_k=3)
    assert outcome.truth is not None
    assert outcome.truth.model_copy(update={"top5_right": 0}) == KnownTruth(
        images=10, top1_right=9, top5_right=0, of_other_classes=1
    )
    assert outcome.top1 == pytest.approx(0.9)
    assert 9 <= outcome.truth.top5_right <= 10
    assert [row for table in pool.parts() for row in table["true_label"].to_pylist()] == truth


def test_broken_images_end_the_stage_only_past_the_share_that_is_asked_for(pool: Pool) -> None:
    assert pool.run().bad_images == 1
    with pytest.raises(StageError, match="1 of 12 images") as caught:
        pool.run(attempt=2, max_bad_fraction=0.05)
    assert caught.value.reason is FailureReason.BAD_DATA


def test_a_model_that_is_gone_is_named_before_any_actor_starts(pool: Pool) -> None:
    (pool.root / "model" / "model.safetensors").unlink()
    with pytest.raises(StageError, match=r"r-g0 has lost its model\.safetensors") as caught:
        pool.run()
    assert caught.value.reason is FailureReason.USER_ERROR
    assert pool.labeled == []
