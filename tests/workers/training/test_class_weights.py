"""The weights of classes in the loss, and where the numbers of labeled images come from."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from workers.data.errors import ShardReadError
from workers.data.shards.class_counts import class_counts
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.imbalance import ClassWeights, EffectiveNumber
from workers.specs.recipe import Recipe
from workers.training.class_weights import weights_of
from workers.training.input.sources import LabeledSource
from workers.training.loss import noisy_student_loss

LONG_TAIL = np.array([900, 90, 9, 1, 0])
CLASSES = ("cat", "dog", "emu")


def _manifest(shard: Shard, **how: object) -> DatasetManifest:
    fields = {"dataset_id": "ds", "role": "labeled", "classes": CLASSES, "rows": shard.rows, "shards": (shard,)}
    return DatasetManifest.model_validate({**fields, **how})


def _parquet(folder: Path, labels: list[str]) -> DatasetManifest:
    table = {"image": pa.array([b"x"] * len(labels), pa.binary()), "label": labels}
    pq.write_table(pa.table(table), folder / "0.parquet")
    shard = Shard(uri=str(folder / "0.parquet"), rows=len(labels))
    return _manifest(shard, format="parquet", label_column="label")


def test_inverse_frequency_gives_each_class_the_same_share_of_the_loss() -> None:
    weights = weights_of("inverse_frequency", LONG_TAIL)
    assert (weights * LONG_TAIL)[:4] == pytest.approx([250.0] * 4)


@pytest.mark.parametrize("beta", [0.5, 0.99, 0.9999])
def test_effective_numbers_are_those_of_the_paper(beta: float) -> None:
    weights = weights_of(EffectiveNumber(effective_number=beta), LONG_TAIL)[:4].astype(float)
    paper = np.array([(1 - beta) / (1 - beta**n) for n in LONG_TAIL[:4].tolist()])
    assert weights / weights[0] == pytest.approx(paper / paper[0], rel=1e-4)


def test_effective_numbers_lie_between_no_weights_and_inverse_frequency() -> None:
    low = weights_of(EffectiveNumber(effective_number=1e-9), LONG_TAIL)
    high = weights_of(EffectiveNumber(effective_number=1 - 1e-12), LONG_TAIL)
    assert low == pytest.approx(np.ones(5))
    assert high == pytest.approx(weights_of("inverse_frequency", LONG_TAIL), rel=1e-4)


@pytest.mark.parametrize("asked", ["none", "inverse_frequency", EffectiveNumber(effective_number=0.999)], ids=str)
@pytest.mark.parametrize("counts", [LONG_TAIL, np.full(1000, 7), np.zeros(3, np.int64)], ids=["tail", "even", "none"])
def test_the_mean_weight_over_the_labeled_images_is_one(asked: ClassWeights, counts: np.ndarray) -> None:
    weights = weights_of(asked, counts)
    assert np.isfinite(weights).all()
    assert (weights * counts).sum() == pytest.approx(counts.sum())


def test_the_loss_of_an_image_is_multiplied_by_its_class_s_weight(tmp_path: Path) -> None:
    manifest = _parquet(tmp_path, ["cat"] * 6 + ["dog"] * 2)
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    uri = str(tmp_path / "manifest.json")
    plain, weighted = LabeledSource(uri, 3, 0.1), LabeledSource(uri, 3, 0.1, class_weights="inverse_frequency")
    logits = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    for row, weight in ((0, 8 / (2 * 6)), (7, 8 / (2 * 2))):
        losses = [noisy_student_loss(logits, torch.tensor(each.sample(0, row)[1])[None]) for each in (plain, weighted)]
        assert float(losses[1]) == pytest.approx(weight * float(losses[0]), rel=1e-5)


def test_counts_are_the_same_in_every_format(tmp_path: Path) -> None:
    labels = ["dog", "cat", "dog"]
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for row, label in enumerate(labels):
            for suffix, data in (("png", b"x"), ("cls", label.encode())):
                member = tarfile.TarInfo(f"{row}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    columns = {"key": ["a", "b", "c"], "uri": ["a", "b", "c"], "label": labels, "origin": ["", "", ""]}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    members = tuple(f"{label}/{row}.png" for row, label in enumerate(labels))
    for manifest in (
        _parquet(tmp_path, labels),
        _manifest(Shard(uri=str(tmp_path), rows=3, members=members), format="image_folder"),
        _manifest(Shard(uri=str(tmp_path / "0.tar"), rows=3), format="webdataset"),
        _manifest(Shard(uri=str(tmp_path / "list.parquet"), rows=3), format="uri_list"),
    ):
        assert class_counts(manifest).tolist() == [1, 2, 0], manifest.format


def test_a_label_that_is_no_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardReadError, match="yak"):
        class_counts(_parquet(tmp_path, ["cat", "yak"]))


def test_stored_recipes_weigh_all_classes_alike() -> None:
    assert Recipe.model_validate_json("{}").class_weights == "none"
    stored = Recipe(class_weights=EffectiveNumber(effective_number=0.99))
    assert Recipe.model_validate_json(stored.model_dump_json()) == stored
    with pytest.raises(ValueError, match="effective_number"):
        Recipe.model_validate_json('{"class_weights": {"effective_number": 1.0}}')
