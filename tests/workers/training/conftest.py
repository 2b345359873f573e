"""Fixtures: a small labeled set on disk, and trainings on it in this process, without Ray."""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from workers.artifact_io import join_uri
from workers.initialization.driver import prepared
from workers.initialization.preparation import make_ready
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.initialization import INITIAL_FOLDER
from workers.specs.noise import Noise, RandAugment
from workers.specs.optimization import Optimizer, Schedule
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.group.session import TrainingState
from workers.training.loop import OnValidation, train

TrainHere = Callable[..., tuple[Path, "MemorySession"]]
CLASSES = tuple(str(digit) for digit in range(10))


class MemorySession:
    """The session of a lone worker whose checkpoints stay in memory."""

    rank = 0
    world_size = 1
    device = torch.device("cpu")

    def __init__(self, state: TrainingState | None = None) -> None:
        self.states: list[TrainingState] = []
        self._state = state

    def load_checkpoint(self) -> TrainingState | None:
        return self._state

    def report_checkpoint(self, state: TrainingState | None, metrics: dict[str, float]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)  # a copy, because training keeps changing the tensors
        buffer.seek(0)
        self.states.append(torch.load(buffer, weights_only=True))

    def checkpoint_wished(self) -> bool:
        return False

    def highest(self, values: Sequence[int]) -> list[int]:
        return list(values)


@pytest.fixture(scope="session")
def digits_manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of the manifest of 120 labeled digits of 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("digits16")
    digits = load_digits()
    images, labels = [], []
    for pixels, label in zip(digits.images[:120], digits.target[:120], strict=True):
        buffer = io.BytesIO()
        Image.fromarray((pixels * 15).astype(np.uint8)).resize((16, 16)).save(buffer, "PNG")
        images.append(buffer.getvalue())
        labels.append(str(label))
    pq.write_table(pa.table({"image": images, "label": labels}), folder / "0.parquet")
    manifest = DatasetManifest(
        dataset_id="ds-digits",
        role="labeled",
        format="parquet",
        classes=CLASSES,
        label_column="label",
        rows=120,
        shards=(Shard(uri=str(folder / "0.parquet"), rows=120),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return str(folder / "manifest.json")


@pytest.fixture
def small_recipe() -> Recipe:
    return Recipe(
        image_size=16,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop="none",
        horizontal_flip=False,
        steps=6,
        batch_size=20,
        unlabeled_ratio=0,
        noise=Noise(rand_augment=RandAugment(n=1, m=5), dropout=0.1, drop_path=0.1),
        optimizer=Optimizer(learning_rate=0.01),
        schedule=Schedule(warmup_steps=1),
        ema_decay=0.9,
        validate_every_steps=3,
        checkpoint_every_steps=2,
    )


@pytest.fixture
def train_here(tmp_path: Path, digits_manifest: str, small_recipe: Recipe) -> TrainHere:
    """Trains in this process, and returns the model's folder and the session with its checkpoints."""

    def run(
        name: str = "model",
        recipe: Recipe | None = None,
        session: MemorySession | None = None,
        on_validation: OnValidation | None = None,
        **changes: Any,
    ) -> tuple[Path, MemorySession]:
        folder = tmp_path / name
        folder.mkdir()
        spec = TrainSpec(
            run_id="run-1",
            generation=0,
            attempt=1,
            folder_uri=str(folder),
            seed=3,
            model="test_resnet",
            classes=CLASSES,
            recipe=recipe or small_recipe,
            labeled_manifest_uri=digits_manifest,
            validation_manifest_uri=digits_manifest,
            workers=WorkerGroup(),
        ).model_copy(update=changes)
        if spec.recipe.init.kind != "random":  # what the driver does, in this process
            make_ready(spec, join_uri(spec.folder_uri, INITIAL_FOLDER))
            spec = prepared(spec, lambda: None)
        session = session or MemorySession()
        train(spec, time.time(), session, on_validation)
        return folder, session

    return run
