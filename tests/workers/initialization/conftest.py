"""Fixtures: weights that timm alone has written, and the spec of a training that begins with some."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.artifact_io import join_uri
from workers.initialization.preparation import make_ready
from workers.specs.initialization import INITIAL_FOLDER, InitialWeightsReport
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup

CLASSES = tuple("0123456789")
MakeSpec = Callable[..., TrainSpec]
Begin = Callable[..., tuple[str, InitialWeightsReport]]


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of foreign_weights.py."""
    folder = tmp_path_factory.mktemp("foreign")
    script = Path(__file__).with_name("foreign_weights.py")
    subprocess.run([sys.executable, "-P", str(script), str(folder)], cwd=folder, env={}, check=True, timeout=300)
    return folder


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """Makes the spec of a training whose recipe has this init."""

    def spec(
        init: dict[str, Any], name: str = "train", recipe: dict[str, Any] | None = None, **changes: Any
    ) -> TrainSpec:
        return TrainSpec(
            run_id="run-1",
            generation=0,
            attempt=1,
            folder_uri=str(tmp_path / name),
            seed=3,
            model="test_resnet",
            classes=CLASSES,
            recipe=Recipe.model_validate({"unlabeled_ratio": 0.0, "init": init, **(recipe or {})}),
            labeled_manifest_uri="/nowhere/manifest.json",
            validation_manifest_uri="/nowhere/manifest.json",
            workers=WorkerGroup(),
        ).model_copy(update=changes)

    return spec


@pytest.fixture
def begin(make_spec: MakeSpec) -> Begin:
    """Makes weights ready in this process; returns their folder and the report."""

    def run(init: dict[str, Any], **changes: Any) -> tuple[str, InitialWeightsReport]:
        spec = make_spec(init, **changes)
        uri = join_uri(spec.folder_uri, INITIAL_FOLDER)
        return uri, make_ready(spec, uri)

    return run
