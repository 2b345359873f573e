"""The label stage takes over what an earlier one has labeled in the same way, and labels only what is new."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.support.pool_in_process import PoolInProcess
from workers.artifact_io import copy_file
from workers.labeling import calibration, resumed_shards, reused_labels, stage
from workers.models.create import create_model
from workers.models.files import write_model
from workers.runtime.stage_reporter import StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import FingerprintedImages
from workers.specs.labeling import ReusableLabels
from workers.specs.model_card import ModelCard
from workers.specs.results import LabelResult
from workers.specs.stages import ActorPool, LabelSpec

OLD, NEW = 5, 1
"""The shards that the pool had, and those by which it has grown: by a fifth."""


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class GrowingPool(PoolInProcess):
    """A pool of shards of two images each, as it was (`before.json`) and as it is now (`now.json`), and a model."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        shards = []
        for shard in range(OLD + NEW):
            images = [picture(2 * shard), picture(2 * shard + 1)]
            if shard == 1:
                images[0] = images[0][:50]  # broken
            if shard == OLD:
                images[1] = picture(0)  # an old picture again
            self.write(f"s{shard}", images)
            shards.append(Shard(uri=str(root / f"s{shard}.parquet"), rows=2))
        self.write("test", [picture(4), picture(99)])  # of an old shard
        self.manifest("before", shards[:OLD])
        self.manifest("now", shards)
        self.manifest("test", [Shard(uri=str(root / "test.parquet"), rows=2)])
        self.model("model", 0)
        for module in (resumed_shards, calibration):
            monkeypatch.setattr(module, "map_shards", self.map_shards)

    def write(self, name: str, images: list[bytes]) -> None:
        pq.write_table(pa.table({"image": images, "label": ["a", "b"]}), self.root / f"{name}.parquet")

    def manifest(self, name: str, shards: list[Shard], **changes: object) -> None:
        of_test = {"role": "evaluation", "classes": ("a", "b", "c"), "label_column": "label"} if name == "test" else {}
        manifest = DatasetManifest.model_validate(
            {
                "dataset_id": name,
                "role": "unlabeled",
                "format": "parquet",
                "classes": (),
                "rows": 2 * len(shards),
                "shards": tuple(shards),
                **of_test,
                **changes,
            }
        )
        (self.root / f"{name}.json").write_text(manifest.model_dump_json())

    def model(self, name: str, seed: int) -> None:
        torch.manual_seed(seed)
        card = ModelCard(
            model="test_resnet", classes=("a", "b", "c"), image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
            parameters=1, run_id="r", generation=0, validation_top1=0.0,
        )  # fmt: skip
        write_model(str(self.root / name), create_model("test_resnet", 3, 28, 0.3, 0.1).state_dict(), card)

    def run(self, folder: str, manifest: str, *earlier: str, **changes: object) -> LabelResult:
        """Labels a manifest in a folder. `earlier` names folders whose labels may be taken over."""
        self.labeled = []
        spec = LabelSpec.model_validate(
            {
                "run_id": "r", "generation": 2, "attempt": 1, "folder_uri": str(self.root / folder), "seed": 0,
                "max_bad_fraction": 0.2, "model_uri": str(self.root / "model"), "batch_size": 3,
                "manifest_uri": str(self.root / f"{manifest}.json"), "pool": ActorPool(),
                "evaluation_images": (self.fingerprinted("test"),), "near_duplicate_distance": 4,
                "reusable_labels": tuple(self.earlier(name) for name in earlier), **changes,
            }
        )  # fmt: skip
        (self.root / folder).mkdir(exist_ok=True)
        return stage.run_label(spec, StageReporter(spec, entered_at=0.0))

    def earlier(self, folder: str) -> ReusableLabels:
        return ReusableLabels(
            run_id=folder, generation=1, labels_uri=str(self.root / folder), manifest_uri=str(self.root / "before.json")
        )

    def fingerprinted(self, name: str) -> FingerprintedImages:
        return FingerprintedImages(
            manifest_uri=str(self.root / f"{name}.json"), fingerprints_uri=str(self.root / f"{name}-prints.parquet")
        )

    def files(self, folder: str) -> dict[str, list[dict[str, object]]]:
        """The rows of all Parquet files of a label folder."""
        found = sorted((self.root / folder).rglob("*.parquet"))
        return {str(each.relative_to(self.root / folder)): pq.read_table(each).to_pylist() for each in found}


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GrowingPool:
    return GrowingPool(tmp_path, monkeypatch)


def test_a_pool_that_grew_by_a_fifth_is_labeled_only_where_it_is_new(pool: GrowingPool) -> None:
    first = pool.run("first", "before")
    assert (first.images_reused, first.shards_reused, first.reused_from) == (0, 0, ())
    grown = pool.run("grown", "now", "first")
    assert pool.labeled == [OLD]
    assert (grown.images, grown.images_reused, grown.shards_reused, grown.shards_resumed) == (12, 10, 5, 0)
    assert grown.reused_from == ("generation 1 of first",)
    anew = pool.run("anew", "now")
    assert pool.labeled == list(range(OLD + NEW))
    assert pool.files("grown") == pool.files("anew"), "with the lists of broken, near and equal images"
    assert (grown.bad_images, grown.held_out, grown.duplicates) == (1, 1, 1)
    unlike = {"timing", "images_per_second", "images_reused", "shards_reused", "reused_from"}
    assert grown.model_dump(exclude=unlike) == anew.model_dump(exclude=unlike)


def test_a_rerun_knows_what_an_earlier_attempt_had_taken_over(pool: GrowingPool) -> None:
    pool.run("first", "before")
    pool.run("grown", "now", "first")
    (pool.root / "grown" / "part-00003.parquet").unlink()
    (pool.root / "grown" / "part-00005.parquet").unlink()
    (pool.root / "first" / "part-00003.parquet").unlink()  # retention has deleted it meanwhile
    again = pool.run("grown", "now", "first")
    assert sorted(pool.labeled) == [3, 5]
    assert (again.images_reused, again.shards_reused, again.shards_resumed) == (8, 4, 0)
    third = pool.run("grown", "now", "first")
    assert (pool.labeled, third.images_reused, third.shards_resumed) == ([], 8, 2)


def test_a_file_that_vanishes_while_it_is_taken_over_is_labeled_anew(
    pool: GrowingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.run("first", "before")

    def vanishing(source_uri: str, target_uri: str) -> None:
        if source_uri.endswith("part-00002.parquet"):
            Path(source_uri).unlink()
        copy_file(source_uri, target_uri)

    monkeypatch.setattr(reused_labels, "copy_file", vanishing)
    grown = pool.run("grown", "now", "first")
    assert sorted(pool.labeled) == [2, 5]
    assert grown.images_reused == 8
    monkeypatch.undo()


@pytest.mark.parametrize(
    "change",
    [
        {"near_duplicate_distance": 2},
        {"evaluation_images": ()},
        {"top_k": 7},
        {"views": {"flip": True, "crops": 1}},
        {"model_uri": "other"},
    ],
)
def test_labels_made_in_another_way_are_made_again(pool: GrowingPool, change: dict[str, object]) -> None:
    pool.run("first", "before")
    pool.model("other", 1)
    if "model_uri" in change:
        change = {"model_uri": str(pool.root / "other")}
    grown = pool.run("grown", "now", "first", **change)
    assert pool.labeled == list(range(OLD + NEW))
    assert (grown.images_reused, grown.reused_from) == (0, ())


def test_labels_under_other_keys_are_made_again(pool: GrowingPool) -> None:
    pool.run("first", "before")
    shards = [Shard(uri=str(pool.root / f"s{shard}.parquet"), rows=2) for shard in range(OLD)]
    pool.manifest("before", shards, key_column="label")
    assert pool.run("grown", "now", "first").images_reused == 0


def test_several_stages_give_what_each_has(pool: GrowingPool) -> None:
    pool.run("first", "before")
    for shard in (0, 1):
        (pool.root / "first" / f"part-{shard:05d}.parquet").unlink()
    pool.run("second", "before")
    grown = pool.run("grown", "now", "gone", "first", "second")
    assert pool.labeled == [OLD]
    assert set(grown.reused_from) == {"generation 1 of first", "generation 1 of second"}


def test_the_temperature_of_the_earlier_stage_is_taken_over_too(pool: GrowingPool) -> None:
    fit = {"calibration_manifest_uri": str(pool.root / "test.json")}
    first = pool.run("first", "before", **fit)
    grown = pool.run("grown", "now", "first", **fit)
    assert pool.labeled == [OLD], "no image of the validation set either"
    assert grown.calibration == first.calibration
    assert grown.images_reused == 10
    assert (pool.root / "grown" / "reliability.svg").exists()
    other = pool.run("other", "now", "first", **fit, calibration_sample=1)
    assert other.calibration != first.calibration
    assert other.images_reused == 0
