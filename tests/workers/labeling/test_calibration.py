"""The teacher's logits on sampled validation images."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from workers.labeling import calibration
from workers.labeling.logit_collector import LogitCollector
from workers.models.create import create_model
from workers.models.files import write_model
from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.model_card import ModelCard
from workers.specs.stages import ActorPool, LabelSpec

CLASSES = ("a", "b")


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def spec_of(root: Path, rows: list[int], sample: int) -> LabelSpec:
    """Validation shards with these numbers of rows, a teacher, and the spec for labeling with it."""
    shards = []
    for shard, count in enumerate(rows):
        path = root / f"v{shard}.parquet"
        columns = [pa.array([png(row) for row in range(count)], pa.binary()), pa.array(["b"] * count, pa.string())]
        pq.write_table(pa.table(columns, names=["image", "label"]), path)
        shards.append(Shard(uri=str(path), rows=count))
    manifest = DatasetManifest(
        dataset_id="v", role="evaluation", format="parquet", classes=CLASSES, label_column="label", rows=sum(rows),
        shards=tuple(shards),
    )  # fmt: skip
    (root / "validation.json").write_text(manifest.model_dump_json())
    card = ModelCard(
        model="test_resnet", classes=CLASSES, image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(root / "model"), create_model("test_resnet", len(CLASSES), 28, 0, 0).state_dict(), card)
    return LabelSpec(
        run_id="r", generation=1, attempt=1, folder_uri=str(root / "label"), seed=0, model_uri=str(root / "model"),
        manifest_uri=str(root / "none.json"), pool=ActorPool(), calibration_sample=sample,
        calibration_manifest_uri=str(root / "validation.json"),
    )  # fmt: skip


def collected(collector: LogitCollector, shard: int) -> np.ndarray:
    return np.frombuffer(collector(shard), np.float32).reshape(-1, len(CLASSES) + 1)


def test_the_collector_leaves_a_gpu_alone_that_its_pool_did_not_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tmp_path, [3], sample=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert collected(LogitCollector(spec), 0)[:, -1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("rows", "sample"), [([1] * 12, 5), ([2, 0, 3, 1], 4), ([2, 1], 10)])
def test_as_many_images_are_sampled_as_were_asked_for_however_small_the_shards_are(
    rows: list[int], sample: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def map_shards(
        make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[ShardDone]:
        collector = make_function()
        for shard in shard_indices:
            read.append(shard)
            yield ShardDone(shard, 0.0, 1.0, collector(shard))

    monkeypatch.setattr(calibration, "map_shards", map_shards)
    fitted = calibration.calibrate(spec_of(tmp_path, rows, sample))
    assert fitted is not None
    assert fitted.images == min(sample, sum(rows))
    assert all(rows[shard] for shard in read)
