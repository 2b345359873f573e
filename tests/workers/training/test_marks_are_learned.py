"""A class that the teacher mislabels is learned by the next student once people have marked it. It trains for real."""

import io
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.workers.training.conftest import TrainHere
from workers.data.images.decode import content_hash
from workers.data.marks import Mark, marks_parquet
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.specs.results import SelectResult
from workers.specs.review import MarksApplied
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec

CLASSES = ("red", "blue", "green")
COLORS = {"red": (200, 30, 30), "blue": (30, 30, 200), "green": (30, 200, 30)}
RED, GREEN = 0, 2
POOL = ["red"] * 20 + ["blue"] * 20 + ["green"] * 20


def picture(name: str, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(-30, 31, (16, 16, 3))
    pixels = np.clip(np.array(COLORS[name]) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class Pool:
    """60 pictures, of which the teacher is sure that the green ones are red. No labeled picture is green."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = [picture(name, seed) for seed, name in enumerate(POOL)]
        labeled = [name for name in ("red", "blue") for _ in range(10)]
        self._write("pool", self.images, None)
        self._write("labeled", [picture(name, 100 + seed) for seed, name in enumerate(labeled)], labeled)
        says = {"red": [0.96, 0.02, 0.02], "blue": [0.02, 0.96, 0.02], "green": [0.95, 0.01, 0.04]}
        hygiene = Hygiene([content_hash(image) for image in self.images], [None] * len(POOL), {}, {})
        probabilities = np.array([says[name] for name in POOL], dtype=np.float32)
        table, _ = label_table([str(row) for row in range(len(POOL))], hygiene, probabilities, top_k=3)
        write_label_file(str(root / "labels"), 0, table, {})

    def _write(self, name: str, images: list[bytes], labels: list[str] | None) -> None:
        table = pa.table({"image": pa.array(images, pa.binary()), **({} if labels is None else {"label": labels})})
        pq.write_table(table, self.root / f"{name}.parquet")
        manifest = DatasetManifest(
            dataset_id=f"ds-{name}",
            role="unlabeled" if labels is None else "labeled",
            format="parquet",
            classes=() if labels is None else CLASSES,
            label_column=None if labels is None else "label",
            rows=len(images),
            shards=(Shard(uri=str(self.root / f"{name}.parquet"), rows=len(images)),),
        )
        (self.root / f"{name}.json").write_text(manifest.model_dump_json())

    def select(self, folder: str, marks: list[Mark]) -> SelectResult:
        (self.root / folder).mkdir()
        (self.root / folder / "marks.parquet").write_bytes(marks_parquet(marks))
        spec = SelectSpec(
            run_id="run-1",
            generation=1,
            attempt=1,
            folder_uri=str(self.root / folder),
            seed=4,
            manifest_uri=str(self.root / "pool.json"),
            labels_uri=str(self.root / "labels"),
            classes=CLASSES,
            settings=SelectionSettings(min_confidence=0.8),
            marks_uri=str(self.root / folder / "marks.parquet") if marks else None,
        )
        return run_select(spec, StageReporter(spec, time.time()))

    def pseudo_labels(self, folder: str) -> PseudoLabels:
        return PseudoLabels(
            manifest_uri=str(self.root / "pool.json"),
            labels_uri=str(self.root / "labels"),
            selection_uri=str(self.root / folder),
        )


def answers(model: Path, name: str) -> set[str]:
    """What a model says of pictures that nobody has seen in training."""
    predictor = Predictor(str(model), "cpu")
    found = predictor.predict([picture(name, 1000 + seed) for seed in range(12)])
    return {CLASSES[index] for index in found.probabilities.argmax(axis=1)}


@pytest.fixture
def recipe(small_recipe: Recipe) -> Recipe:
    return small_recipe.model_copy(
        update={
            "steps": 60,
            "batch_size": 10,
            "unlabeled_ratio": 2.0,
            "noise": Noise(rand_augment=None, dropout=0.1, drop_path=0.1),
            "validate_every_steps": 60,
            "checkpoint_every_steps": 60,
        }
    )


def test_a_student_learns_the_class_that_people_gave(tmp_path: Path, train_here: TrainHere, recipe: Recipe) -> None:
    pool = Pool(tmp_path)
    green = [content_hash(image) for image, name in zip(pool.images, POOL, strict=True) if name == "green"]
    marks = {
        "nothing": [],
        "green": [Mark(each, GREEN) for each in green[:8]] + [Mark(each, None, frozenset({RED})) for each in green[8:]],
    }
    said = {}
    for name, given in marks.items():
        result = pool.select(f"select-{name}", given)
        if given:
            assert result.marks == MarksApplied(marks=20, given=8, changed=8, wrong=12, not_found=0)
        folder, _ = train_here(
            f"student-{name}",
            recipe,
            generation=1,
            classes=CLASSES,
            labeled_manifest_uri=str(tmp_path / "labeled.json"),
            validation_manifest_uri=str(tmp_path / "labeled.json"),
            pseudo_labels=pool.pseudo_labels(f"select-{name}"),
        )
        said[name] = {color: answers(folder, color) for color in CLASSES}
    assert said["nothing"] == {"red": {"red"}, "blue": {"blue"}, "green": {"red"}}
    assert said["green"] == {"red": {"red"}, "blue": {"blue"}, "green": {"green"}}
