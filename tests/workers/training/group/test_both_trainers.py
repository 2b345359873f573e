"""The train stage as its real process on a real Ray, with and without the internals of torch, timm and Ray."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.support.private_ray import PrivateRay
from benchmarks.support.stage_job import TIMEOUT_SECONDS, StageJob
from noisy_student.local.process_family import command_of, descendants
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.workers.training.conftest import CLASSES
from workers.models.files import load_state
from workers.specs.internals import LibraryInternals
from workers.specs.optimization import Optimizer
from workers.specs.recipe import Recipe
from workers.specs.results import TrainResult
from workers.specs.stages import TrainSpec, metrics_name
from workers.specs.tracking import TENSORBOARD_FOLDER
from workers.specs.worker_group import WorkerGroup

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)]

NONE = LibraryInternals(torch_dynamo=False, timm_imports=False, ray_train_controller=False, torch_store=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateRay]:
    with PrivateRay(num_cpus=2) as running:
        yield running


def _trained(
    folder: Path,
    manifest: str,
    recipe: Recipe,
    internals: LibraryInternals,
    cluster: PrivateRay,
    workers: WorkerGroup = WorkerGroup(num_workers=2),
) -> tuple[TrainResult, list[float]]:
    """The result of the stage, and the loss in each of its metric rows."""
    spec = TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri=str(folder),
        seed=3,
        model="test_resnet",
        classes=CLASSES,
        recipe=recipe,
        labeled_manifest_uri=manifest,
        validation_manifest_uri=manifest,
        workers=workers,
        internals=internals,
    )
    controllers: set[str] = set()
    with closing(StageJob(spec, "model.safetensors", cluster)) as job:
        job.start_attempt()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not job.has_ended() and time.monotonic() < deadline:
            commands = [command_of(process) for process in descendants(os.getpid())]
            controllers |= {command for command in commands if command.startswith("ray::TrainController")}
            time.sleep(0.2)
        result = job.wait()
    assert isinstance(result, TrainResult)
    # The setting reached the trainer's actor through the spec and the job. Without it, Ray starts one more actor.
    assert bool(controllers) == (not internals.ray_train_controller)
    rows = [json.loads(row) for row in (folder / metrics_name(1)).read_text().splitlines()]
    events = EventAccumulator(str(folder / TENSORBOARD_FOLDER))
    events.Reload()
    for name in ("loss", "learning_rate", "images_per_second"):
        figures = {event.step: event.value for event in events.Scalars(name)}
        assert figures == pytest.approx({row["step"]: row["values"][name] for row in rows})
    return result, [row["values"]["loss"] for row in rows]


def test_ray_trains_own_trainer_plain_imports_and_a_shared_model_give_the_same_losses_and_weights(
    digits_manifest: str, small_recipe: Recipe, cluster: PrivateRay, tmp_path: Path
) -> None:
    # Without an epsilon, AdamW would magnify roundings, which differ between a whole and a shared model.
    recipe = small_recipe.model_copy(update={"optimizer": Optimizer(learning_rate=0.01, epsilon=1e-3)})
    lean, lean_losses = _trained(tmp_path / "lean", digits_manifest, recipe, LibraryInternals(), cluster)
    plain, plain_losses = _trained(tmp_path / "plain", digits_manifest, recipe, NONE, cluster)
    group = WorkerGroup(num_workers=2, parallelism="fsdp")
    shared, shared_losses = _trained(tmp_path / "shared", digits_manifest, recipe, LibraryInternals(), cluster, group)

    assert len(lean_losses) > 1
    assert plain_losses == pytest.approx(lean_losses, rel=1e-6)
    assert plain.final_loss == pytest.approx(lean.final_loss, rel=1e-6)
    assert plain.validation_top1 == lean.validation_top1
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("lean", "plain")]
    assert weights[0] == weights[1]
    assert "is not as it was" not in (tmp_path / "lean.log").read_text()
    assert shared_losses == pytest.approx(lean_losses, abs=1e-4)
    assert shared.final_loss == pytest.approx(lean.final_loss, abs=1e-4)
    whole = load_state(str(tmp_path / "lean"))
    for name, weight in load_state(str(tmp_path / "shared")).items():
        assert float((weight.float() - whole[name].float()).abs().max()) < 1e-3, name
