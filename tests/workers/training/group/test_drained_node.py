"""A node that is taken away with a notice, as Kubernetes takes a spot node: real training on a real Ray."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.support.private_ray import PrivateRay
from benchmarks.support.stage_job import StageJob
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.workers.training.conftest import CLASSES
from workers.specs.node_labels import NODE_GROUP, NodeChoice
from workers.specs.recipe import Recipe
from workers.specs.results import TrainResult
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup

pytestmark = [pytest.mark.end_to_end, pytest.mark.long, pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)]

GRACE_SECONDS = 5.0


@pytest.fixture
def cluster() -> Iterator[PrivateRay]:
    with PrivateRay(num_cpus=1) as running:
        yield running


def test_a_drained_node_costs_the_steps_since_the_notice_and_no_attempt(
    digits_manifest: str, small_recipe: Recipe, cluster: PrivateRay, tmp_path: Path
) -> None:
    """Nothing but the notice makes training take a checkpoint here: the recipe's own interval is never reached."""
    leaving = cluster.add_node(num_cpus=1, grace_seconds=GRACE_SECONDS)
    recipe = small_recipe.model_copy(
        update={"steps": 1000, "checkpoint_every_steps": 100_000, "validate_every_steps": 1000}
    )
    spec = TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri=str(tmp_path / "train"),
        seed=3,
        model="test_resnet",
        classes=CLASSES,
        recipe=recipe,
        labeled_manifest_uri=digits_manifest,
        validation_manifest_uri=digits_manifest,
        workers=WorkerGroup(num_workers=2, max_failures=0),
        nodes=NodeChoice(helper_node_labels={NODE_GROUP: "headgroup"}),
    )
    with closing(StageJob(spec, "model.safetensors", cluster)) as job:
        job.start_attempt()
        at_notice = job.wait_for(lambda seen: seen.done >= 20).done
        leaving.preempt()
        cluster.add_node(num_cpus=1)
        result = job.wait()

    assert isinstance(result, TrainResult)
    assert result.attempt == 1
    assert result.resumed_from_step >= at_notice
