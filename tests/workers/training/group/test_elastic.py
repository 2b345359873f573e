"""An elastic training on a real Ray: it begins with one worker, grows with a node, shrinks, and learns the same."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.support.private_ray import PrivateRay
from benchmarks.support.stage_job import StageJob
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.workers.training.conftest import CLASSES
from workers.specs.node_labels import NODE_GROUP, NodeChoice
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.specs.results import TrainResult
from workers.specs.stages import TrainSpec, metrics_name
from workers.specs.worker_group import NumWorkers, WorkerGroup, WorkerRange

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)]

STEPS = 2400


@pytest.fixture
def cluster() -> Iterator[PrivateRay]:
    with PrivateRay(num_cpus=0) as running:
        yield running


@pytest.fixture
def recipe(small_recipe: Recipe) -> Recipe:
    """Without noise that depends on the worker, so that the same samples lead to the same weights."""
    return small_recipe.model_copy(
        update={
            "steps": STEPS,
            "batch_size": 7,
            "noise": Noise(rand_augment=small_recipe.noise.rand_augment, dropout=0.0, drop_path=0.0),
            "optimizer": small_recipe.optimizer.model_copy(update={"name": "sgd", "learning_rate": 1e-3}),
            "checkpoint_every_steps": 100_000,
            "validate_every_steps": STEPS // 8,
        }
    )


def train_job(folder: Path, manifest: str, recipe: Recipe, num_workers: NumWorkers, cluster: PrivateRay) -> StageJob:
    spec = TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri=str(folder),
        seed=3,
        model="test_vit",  # no batch norm, whose statistics are those of each worker's share
        classes=CLASSES,
        recipe=recipe,
        labeled_manifest_uri=manifest,
        validation_manifest_uri=manifest,
        workers=WorkerGroup(num_workers=num_workers, cpus_per_worker=1.0),
        nodes=NodeChoice(helper_node_labels={NODE_GROUP: "headgroup"}),
        resize_check_seconds=2.0,
    )
    return StageJob(spec, "model.safetensors", cluster)


def losses_of(folder: Path) -> dict[int, float]:
    rows = (folder / metrics_name(1)).read_text().splitlines()
    return {row["step"]: row["values"]["loss"] for row in map(json.loads, rows)}


def test_it_grows_with_a_node_shrinks_when_one_leaves_and_learns_the_same_as_a_fixed_group(
    digits_manifest: str, recipe: Recipe, cluster: PrivateRay, tmp_path: Path
) -> None:
    """No checkpoint is due by its interval: each change of the number of workers takes its own."""
    first = cluster.add_node(num_cpus=1, grace_seconds=60.0)
    with closing(
        train_job(tmp_path / "elastic", digits_manifest, recipe, WorkerRange(min=1, max=2), cluster)
    ) as elastic:
        elastic.start_attempt()
        alone = elastic.wait_for(lambda seen: seen.workers == 1 and seen.done >= 10)
        cluster.add_node(num_cpus=1)
        grown = elastic.wait_for(lambda seen: seen.workers == 2 and seen.done > 0)
        first.preempt()
        shrunk = elastic.wait_for(lambda seen: seen.workers == 1 and seen.done > grown.done)
        result = elastic.wait()
    assert isinstance(result, TrainResult)
    assert 0 < alone.done < grown.done < shrunk.done < STEPS
    assert result.resumed_from_step >= grown.done - 5, "it went on from the checkpoint that it took before it shrank"

    cluster.add_node(num_cpus=1)
    with closing(train_job(tmp_path / "fixed", digits_manifest, recipe, 2, cluster)) as fixed:
        fixed.start_attempt()
        fixed.wait_for(lambda seen: seen.done >= STEPS // 2)  # each wait has a limit of its own
        expected = fixed.wait()
    assert isinstance(expected, TrainResult)
    assert result.validation_top1 == pytest.approx(expected.validation_top1, abs=0.01)
    losses, expected_losses = (losses_of(tmp_path / name) for name in ("elastic", "fixed"))
    assert losses.keys() == expected_losses.keys()
    assert list(losses.values()) == pytest.approx(list(expected_losses.values()), abs=1e-3), "the same curve"
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("elastic", "fixed"))
    difference = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    moved = max(float(weight.abs().max()) for weight in theirs.values())
    assert difference < 1e-3 * max(1.0, moved), "the same samples in the same batches lead to the same weights"
    assert all(torch.isfinite(weight).all() for weight in ours.values())
