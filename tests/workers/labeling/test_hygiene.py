"""What the label stage reports about images that are broken, repeated, or too similar to an evaluation image."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from tests.support.bad_images import BROKEN, ODD
from tests.support.pool_in_process import PoolInProcess
from workers.labeling import resumed_shards, stage
from workers.leakage import fingerprints
from workers.models.create import create_model
from workers.models.files import write_model
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import ComparedSet, FingerprintedImages
from workers.specs.model_card import ModelCard
from workers.specs.reports import FailureReason
from workers.specs.results import LabelResult, SelectResult
from workers.specs.selection import SelectionSettings
from workers.specs.stages import ActorPool, LabelSpec, SelectSpec

PHOTOGRAPH = Image.fromarray(load_sample_image("china.jpg"))


def crop(number: int) -> Image.Image:
    left, top = 40 * (number % 8), 40 * (number // 8)
    return PHOTOGRAPH.crop((left, top, left + 200, top + 160))


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def black(side: int) -> bytes:
    return jpeg(Image.new("RGB", (side, side)))


Spec = TypeVar("Spec", LabelSpec, SelectSpec)
Result = TypeVar("Result", LabelResult, SelectResult)


class Pool(PoolInProcess):
    """Evaluation images, a pool, and the stages on them. A loop in this process replaces the actors."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        self.evaluation = self.dataset("test", [[jpeg(crop(number)) for number in range(4)] + [black(50), b"broken"]])
        torch.manual_seed(0)
        card = ModelCard(
            model="test_resnet", classes=("a", "b"), image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="center",
            parameters=1, run_id="r", generation=0, validation_top1=0.0,
        )  # fmt: skip
        write_model(str(root / "model"), create_model("test_resnet", 2, 28, 0.0, 0.0).state_dict(), card)
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)

    def dataset(self, name: str, shards: list[list[bytes]]) -> FingerprintedImages:
        folder = self.root / name
        folder.mkdir()
        for index, images in enumerate(shards):
            pq.write_table(pa.table({"image": images}), folder / f"{index}.parquet")
        manifest = DatasetManifest(
            dataset_id=name, role="unlabeled", format="parquet", classes=(), rows=sum(map(len, shards)),
            shards=tuple(
                Shard(uri=str(folder / f"{index}.parquet"), rows=len(images)) for index, images in enumerate(shards)
            ),
        )  # fmt: skip
        (folder / "manifest.json").write_text(manifest.model_dump_json())
        return FingerprintedImages(
            manifest_uri=str(folder / "manifest.json"), fingerprints_uri=str(folder / "fingerprints.parquet")
        )

    def label(self, *shards: list[bytes], **changes: object) -> LabelResult:
        spec = LabelSpec.model_validate(
            {
                "run_id": "r", "generation": 1, "attempt": 1, "folder_uri": str(self.root / "label"), "seed": 0,
                "max_bad_fraction": 0.9, "model_uri": str(self.root / "model"), "batch_size": 8, "pool": ActorPool(),
                "manifest_uri": self.dataset("pool", list(shards)).manifest_uri,
                "evaluation_images": (self.evaluation,), "near_duplicate_distance": 4, **changes,
            }
        )  # fmt: skip
        return self._run(stage.run_label, spec)

    def select(self, **settings: Any) -> SelectResult:
        spec = SelectSpec(
            run_id="r", generation=1, attempt=1, folder_uri=str(self.root / "select"), seed=0, classes=("a", "b"),
            manifest_uri=str(self.root / "pool" / "manifest.json"), labels_uri=str(self.root / "label"),
            settings=SelectionSettings(min_confidence=0, fill_up=False, **settings),
        )  # fmt: skip
        return self._run(run_select, spec)

    def selected(self, shard: int) -> list[int]:
        rows: list[int] = pq.read_table(self.root / "select" / f"part-{shard:05d}.parquet")["row"].to_pylist()
        return rows

    def listed(self, folder: str, shard: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(
            self.root / "label" / folder / f"part-{shard:05d}.parquet"
        ).to_pylist()
        return rows

    def _run(self, function: Callable[[Spec, StageReporter], Result], spec: Spec) -> Result:
        Path(spec.folder_uri).mkdir(exist_ok=True)
        (Path(spec.folder_uri) / "spec.json").write_text(spec.model_dump_json())
        return function(spec, StageReporter(spec, entered_at=0.0))


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(tmp_path, monkeypatch)


ENCODED_AGAIN = jpeg(crop(2), quality=40)
SMALLER = jpeg(crop(1).resize((150, 120)))


def test_near_duplicates_of_evaluation_images_are_counted_and_listed_with_their_distance(pool: Pool) -> None:
    result = pool.label([jpeg(crop(20)), ENCODED_AGAIN], [SMALLER, jpeg(crop(21)), jpeg(crop(0))])
    assert (result.near_duplicates, result.near_duplicates_unchecked) == (3, ())
    found = [(row["key"], row["row"], row["evaluation_dataset"], row["evaluation_key"])
             for shard in (0, 1) for row in pool.listed("near_duplicates", shard)]  # fmt: skip
    assert found == [
        ("0.parquet:1", 1, "test", "0.parquet:2"),
        ("1.parquet:0", 0, "test", "0.parquet:1"),
        ("1.parquet:2", 2, "test", "0.parquet:0"),
    ]
    assert all(0 <= row["distance"] <= 4 for shard in (0, 1) for row in pool.listed("near_duplicates", shard))


def test_near_duplicates_stay_unless_they_are_to_be_dropped(pool: Pool) -> None:
    pool.label([jpeg(crop(20)), ENCODED_AGAIN], [SMALLER, jpeg(crop(21))])
    reported = pool.select(near_duplicates="report")
    assert (reported.dropped_near_duplicates, pool.selected(0), pool.selected(1)) == (0, [0, 1], [0, 1])
    dropped = pool.select(near_duplicates="drop")
    assert (dropped.dropped_near_duplicates, pool.selected(0), pool.selected(1)) == (2, [0], [1])
    assert (dropped.dropped_held_out, dropped.dropped_low_confidence, dropped.kept) == (0, 0, 2)


def test_a_row_that_is_dropped_for_several_reasons_counts_once(pool: Pool) -> None:
    result = pool.label([jpeg(crop(0)), ENCODED_AGAIN, ENCODED_AGAIN, jpeg(crop(20)), jpeg(crop(20))])
    assert (result.held_out, result.near_duplicates, result.duplicates) == (1, 3, 2)
    selected = pool.select(near_duplicates="drop", duplicates="drop")
    assert (selected.dropped_held_out, selected.dropped_near_duplicates, selected.dropped_duplicates) == (1, 2, 1)
    assert pool.selected(0) == [3]


def test_duplicates_are_counted_and_listed_also_where_they_are_kept(pool: Pool) -> None:
    result = pool.label([jpeg(crop(20)), jpeg(crop(21))], [jpeg(crop(21)), jpeg(crop(20)), jpeg(crop(22))])
    assert result.duplicates == 2
    assert [row["row"] for row in pool.listed("duplicates", 1)] == [0, 1]
    assert not (pool.root / "label" / "duplicates" / "part-00000.parquet").exists()
    assert pool.select().kept == 5
    assert pool.select(duplicates="drop").dropped_duplicates == 2


def test_flat_pictures_are_near_duplicates_of_nothing(pool: Pool) -> None:
    result = pool.label([black(60), black(61), jpeg(Image.new("RGB", (80, 50), "white"))])
    assert (result.near_duplicates, result.labeled) == (0, 3)
    hashes = pq.read_table(pool.root / "label" / "part-00000.parquet")["perceptual_hash"].to_pylist()
    assert hashes == [None, None, None]


def test_a_distance_of_zero_leaves_the_comparison_of_bytes(pool: Pool) -> None:
    result = pool.label([ENCODED_AGAIN, jpeg(crop(0))], near_duplicate_distance=0)
    assert (result.near_duplicates, result.held_out) == (0, 1)
    assert result.near_duplicates_unchecked == ("test",)
    assert pool.select().near_duplicates == "keep"


def test_evaluation_images_are_fingerprinted_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprints.prepare_fingerprints(pool.evaluation, ActorPool(), alive=lambda: None)
    written = Path(pool.evaluation.fingerprints_uri).read_bytes()
    monkeypatch.setattr(fingerprints, "encoded_thumbnail", lambda data: pytest.fail("decoded again"))
    assert fingerprints.prepare_fingerprints(pool.evaluation, ActorPool(), alive=lambda: None) == first
    assert Path(pool.evaluation.fingerprints_uri).read_bytes() == written


def test_the_result_tells_what_was_compared_and_what_was_not(pool: Pool) -> None:
    result = pool.label([jpeg(crop(0)), ENCODED_AGAIN, black(70)])
    assert result.leakage is not None
    # Of six evaluation images, one is black and one is broken: these are compared byte for byte.
    assert result.leakage.sets == (ComparedSet(dataset_id="test", images=6, missing=0, without_look=2),)
    assert (result.held_out, result.near_duplicates, result.without_look) == (1, 2, 1)
    assert result.near_duplicates_unchecked == ()


def test_near_duplicates_of_photographs_are_dropped_by_default(pool: Pool) -> None:
    result = pool.label([jpeg(crop(20)), ENCODED_AGAIN], [SMALLER, jpeg(crop(21))])
    assert (result.leakage.look_alike_share, result.leakage.photographs) == (0, True)
    selected = pool.select()
    assert (selected.near_duplicates, selected.dropped_near_duplicates) == ("drop", 2)
    assert (pool.selected(0), pool.selected(1)) == ([0], [1])


def test_near_duplicates_are_kept_by_default_where_evaluation_images_look_alike(pool: Pool) -> None:
    drawings = [jpeg(crop(2), quality=quality) for quality in range(45, 90, 10)]
    result = pool.label([ENCODED_AGAIN], evaluation_images=(pool.dataset("drawings", [drawings]),))
    assert result.leakage is not None
    assert (result.leakage.look_alike_share, result.leakage.photographs) == (1, False)
    assert result.near_duplicates == 1
    assert (pool.select().near_duplicates, pool.selected(0)) == ("keep", [0])


def test_labels_of_earlier_versions_keep_their_near_duplicates(pool: Pool) -> None:
    pool.label([jpeg(crop(20)), ENCODED_AGAIN])
    (pool.root / "label" / "leakage.json").unlink()
    assert (pool.select().near_duplicates, pool.selected(0)) == ("keep", [0, 1])


def test_an_evaluation_set_that_is_gone_is_bad_data(pool: Pool) -> None:
    (pool.root / "test" / "0.parquet").unlink()
    with pytest.raises(StageError, match=r"dataset cannot be read.*0\.parquet") as caught:
        pool.label([ENCODED_AGAIN])
    assert caught.value.reason is FailureReason.BAD_DATA


def test_broken_images_are_counted_by_kind_and_quarantined(pool: Pool) -> None:
    broken = [data for data, _ in BROKEN.values()]
    result = pool.label([odd.data for odd in ODD.values()], broken)
    kinds = [kind for _, kind in BROKEN.values()]
    assert result.bad_by_kind == {kind: kinds.count(kind) for kind in kinds}
    assert (result.bad_images, result.labeled) == (len(BROKEN), len(ODD))
    quarantined = pool.listed("quarantine", 1)
    assert [(row["row"], row["kind"]) for row in quarantined] == list(enumerate(kinds))
    assert all(row["reason"] for row in quarantined)
    assert not (pool.root / "label" / "quarantine" / "part-00000.parquet").exists()
    hashes = pq.read_table(pool.root / "label" / "part-00001.parquet")["perceptual_hash"].to_pylist()
    assert hashes == [None] * len(BROKEN)


def test_counts_are_the_same_where_shards_were_labeled_before(pool: Pool) -> None:
    shards = [[jpeg(crop(20)), ENCODED_AGAIN, b""], [SMALLER, jpeg(crop(20)), b"no"]]
    first = pool.label(*shards)
    (pool.root / "label" / "part-00001.parquet").unlink()
    spec = LabelSpec.model_validate_json((pool.root / "label" / "spec.json").read_text())
    again = pool._run(stage.run_label, spec)
    assert again.shards_resumed == 1
    for field in ("bad_by_kind", "held_out", "duplicates", "near_duplicates"):
        assert getattr(again, field) == getattr(first, field)
    assert np.isclose(again.mean_confidence, first.mean_confidence)
