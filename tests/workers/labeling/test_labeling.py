"""Label files, and the actor that writes them, called directly on real files without Ray."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pool_in_process import PoolInProcess
from workers.data.errors import ShardReadError
from workers.data.images.decode import content_hash
from workers.data.shards import shard_readers
from workers.labeling import resumed_shards, stage
from workers.labeling.label_files import (
    Hygiene,
    LabelSummary,
    label_table,
    read_summary,
    write_label_file,
)
from workers.labeling.shard_labeler import ShardLabeler
from workers.labeling.top_classes import top_classes
from workers.models.create import create_model
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.runtime.shard_pool import ShardActor, ShardFunction
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.model_card import ModelCard
from workers.specs.reports import FailureReason
from workers.specs.results import LabelResult
from workers.specs.stages import ActorPool, LabelSpec


@given(
    st.integers(1, 12).flatmap(
        lambda classes: st.tuples(
            st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1e-30]), min_size=classes, max_size=classes), max_size=5),
            st.integers(1, classes),
            st.just(classes),
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_top_classes_fall_in_probability_and_ties_go_by_class_index(case: tuple[list[list[float]], int, int]) -> None:
    rows, k, classes = case
    found = top_classes(np.array(rows, dtype=np.float32).reshape(-1, classes), k)
    assert found.tolist() == [sorted(range(classes), key=lambda c: (-np.float32(row[c]), c))[:k] for row in rows]


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Dataset(PoolInProcess):
    """Three shards of four images each, a model, and the stage. A loop in this process replaces the pool."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        self.images = [[png(shard * 4 + row) for row in range(4)] for shard in range(3)]
        self.images[1][2] = self.images[1][2][:40]
        for shard, images in enumerate(self.images):
            pq.write_table(pa.table({"image": images}), root / f"s{shard}.parquet")
        manifest = DatasetManifest(
            dataset_id="d", role="unlabeled", format="parquet", classes=(), rows=12,
            shards=tuple(Shard(uri=str(root / f"s{shard}.parquet"), rows=4) for shard in range(3)),
        )  # fmt: skip
        (root / "manifest.json").write_text(manifest.model_dump_json())
        torch.manual_seed(0)
        card = ModelCard(
            model="test_resnet", classes=("a", "b", "c"), image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
            parameters=1, run_id="r", generation=0, validation_top1=0.0,
        )  # fmt: skip
        write_model(str(root / "model"), create_model("test_resnet", 3, 28, 0.3, 0.1).state_dict(), card)
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)

    def spec(self, attempt: int = 1, **changes: object) -> LabelSpec:
        spec = LabelSpec.model_validate(
            {
                "run_id": "r", "generation": 1, "attempt": attempt, "folder_uri": str(self.root / "label"), "seed": 0,
                "max_bad_fraction": 0.1, "model_uri": str(self.root / "model"), "batch_size": 3,
                "manifest_uri": str(self.root / "manifest.json"), "pool": ActorPool(), **changes,
            }
        )  # fmt: skip
        (self.root / "label").mkdir(exist_ok=True)
        return spec

    def run(self, attempt: int = 1, **changes: object) -> LabelResult:
        self.labeled = []
        spec = self.spec(attempt, **changes)
        return stage.run_label(spec, StageReporter(spec, entered_at=0.0))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    return Dataset(tmp_path, monkeypatch)


def test_labels_are_the_predictors_in_the_row_order_of_the_shard(dataset: Dataset) -> None:
    result = dataset.run()
    assert (result.images, result.labeled, result.bad_images, result.shards, result.shards_resumed) == (12, 11, 1, 3, 0)
    predictor = Predictor(str(dataset.root / "model"), "cpu")
    confidences = []
    for shard in range(3):
        table = pq.read_table(dataset.root / "label" / f"part-{shard:05d}.parquet")
        probabilities = predictor.predict(dataset.images[shard]).probabilities
        for row, label in enumerate(table["label"].to_pylist()):
            assert label == (None if (shard, row) == (1, 2) else int(probabilities[row].argmax()))
        confidences += [c for c in table["confidence"].to_pylist() if c is not None]
        assert table["key"].to_pylist() == [f"s{shard}.parquet:{row}" for row in range(4)]
        assert table["content_hash"].to_pylist() == [content_hash(image) for image in dataset.images[shard]]
    assert result.mean_confidence == pytest.approx(np.mean(confidences))
    assert (result.timing.work_started_at, result.timing.work_ended_at) == (10.0, 13.0)
    assert result.images_per_second == pytest.approx(4.0)


def test_a_rerun_labels_only_the_missing_shards_and_counts_them_all(dataset: Dataset) -> None:
    first = dataset.run()
    kept = (dataset.root / "label" / "part-00001.parquet").stat().st_mtime_ns
    (dataset.root / "label" / "part-00002.parquet").unlink()
    again = dataset.run(attempt=2)
    assert dataset.labeled == [2]
    assert (dataset.root / "label" / "part-00001.parquet").stat().st_mtime_ns == kept
    assert again.shards_resumed == 2
    for field in ("images", "labeled", "bad_images", "shards"):
        assert getattr(again, field) == getattr(first, field)
    assert again.mean_confidence == pytest.approx(first.mean_confidence)


def test_a_rerun_of_a_finished_stage_labels_nothing(dataset: Dataset) -> None:
    dataset.run()
    again = dataset.run(attempt=2)
    assert dataset.labeled == []
    assert (again.shards_resumed, again.images, again.images_per_second) == (3, 12, 0.0)
    assert '"done":12' in (dataset.root / "label" / "progress.json").read_text()


def test_too_many_broken_images_fail_the_stage_after_all_files_are_written(dataset: Dataset) -> None:
    with pytest.raises(StageError, match="1 of 12 images") as caught:
        dataset.run(max_bad_fraction=0.08)
    assert caught.value.reason is FailureReason.BAD_DATA
    assert len(list((dataset.root / "label").glob("part-*"))) == 3


def test_a_missing_manifest_is_bad_data(dataset: Dataset) -> None:
    with pytest.raises(StageError, match=r"nowhere\.json") as caught:
        dataset.run(manifest_uri=str(dataset.root / "nowhere.json"))
    assert caught.value.reason is FailureReason.BAD_DATA


def test_a_shard_that_cannot_be_read_is_bad_data_and_named(dataset: Dataset) -> None:
    (dataset.root / "s1.parquet").unlink()
    with pytest.raises(ShardReadError, match=r"s1\.parquet"):
        ShardLabeler(dataset.spec())(1)
    actor = ShardActor(lambda: ShardLabeler(dataset.spec()))
    outcome = actor(pa.table({"shard": [1]})).to_pylist()[0]
    assert outcome["failure"] == "bad_data"
    assert "s1.parquet" in outcome["message"]
    assert outcome["payload"] is None


def test_the_labeler_leaves_a_gpu_alone_that_its_pool_did_not_ask_for(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert ShardLabeler(dataset.spec()).predictor.device.type == "cpu"


def test_an_actor_loads_its_model_once_and_says_when_work_began(dataset: Dataset) -> None:
    made = []

    def make() -> ShardFunction:
        made.append(1)
        return lambda shard: f"did {shard}".encode()

    actor = ShardActor(make)
    outcomes = [actor(pa.table({"shard": [shard]})).to_pylist()[0] for shard in (5, 6)]
    assert [outcome["payload"] for outcome in outcomes] == [b"did 5", b"did 6"]
    assert made == [1]
    assert outcomes[0]["started_at"] <= outcomes[0]["ended_at"] <= outcomes[1]["started_at"]
    assert outcomes[0]["failure"] is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA"), "out_of_memory"),
        (FileNotFoundError("model.json"), "stage_error"),
        (StageError(FailureReason.USER_ERROR, "no"), "user_error"),
    ],
)
def test_an_actors_failure_keeps_its_reason(error: Exception, reason: str) -> None:
    def make() -> ShardFunction:
        raise error

    outcome = ShardActor(make)(pa.table({"shard": [0]})).to_pylist()[0]
    assert outcome["failure"] == reason
    assert str(error) in outcome["message"]


def test_a_shard_that_is_handed_out_again_after_its_file_was_written_is_not_redone(dataset: Dataset) -> None:
    labeler = ShardLabeler(dataset.spec())
    first = labeler(0)
    file = dataset.root / "label" / "part-00000.parquet"
    inode = file.stat().st_ino
    assert labeler(0) == first
    assert file.stat().st_ino == inode
    nothing, _ = label_table([], Hygiene([], [], {}, {}), np.empty((0, 3), np.float32), 3)
    write_label_file(str(dataset.root / "label"), 0, nothing, {})
    labeler(0)
    assert read_summary(str(dataset.root / "label"), 0) == LabelSummary.model_validate_json(first)


def test_half_written_files_of_killed_actors_are_no_results_and_go_away(dataset: Dataset) -> None:
    for folder in (dataset.root / "label", dataset.root / "label" / "quarantine"):
        folder.mkdir()
        (folder / ".part-00001.parquet.0123456789ab.tmp").write_bytes(b"half")
    result = dataset.run(attempt=2)
    assert dataset.labeled == [0, 1, 2]
    assert result.shards_resumed == 0
    assert not list(dataset.root.rglob("*.tmp"))


def test_labels_do_not_depend_on_how_the_shard_is_cut_into_pieces(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.run()
    whole = [pq.read_table(dataset.root / "label" / f"part-{shard:05d}.parquet") for shard in range(3)]
    quarantine = pq.read_table(dataset.root / "label" / "quarantine" / "part-00001.parquet")
    monkeypatch.setattr(shard_readers, "_PIECE_ROWS", 1)
    for shard in range(3):
        (dataset.root / "label" / f"part-{shard:05d}.parquet").unlink()
    dataset.run(attempt=2)
    for shard in range(3):
        assert pq.read_table(dataset.root / "label" / f"part-{shard:05d}.parquet").equals(whole[shard])
    assert pq.read_table(dataset.root / "label" / "quarantine" / "part-00001.parquet").equals(quarantine)
