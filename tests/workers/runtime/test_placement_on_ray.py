"""Where the processes of stages are placed, on a real Ray with a head, a node with a (logical) GPU and one without."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.network_namespace import network_of_its_own
from workers.runtime.cluster import settled_on_cluster
from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.search.tuning import _one_bundle
from workers.specs.node_labels import NodeChoice
from workers.specs.recipe import Recipe
from workers.specs.stages import ActorPool, EvaluateSpec, TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.stage import fit_in_actor

pytestmark = [pytest.mark.own_process, pytest.mark.end_to_end, pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)]

NODES = NodeChoice(
    cpu_node_labels={"noisy-student.io/accelerator": "!gpu"}, helper_node_labels={"ray.io/node-group": "headgroup"}
)


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    """The kind of each node, by its id. Ray's nodes find one another at the machine's address, hence the namespace."""
    with network_of_its_own():
        yield from _three_nodes()


def _three_nodes() -> Iterator[dict[str, str]]:
    cluster = Cluster()
    head = cluster.add_node(num_cpus=0, labels={"ray.io/node-group": "headgroup"}, include_dashboard=False)
    gpu = cluster.add_node(num_cpus=4, num_gpus=1, labels={"noisy-student.io/accelerator": "gpu"})
    cpu = cluster.add_node(num_cpus=2)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        yield {head.node_id: "head", gpu.node_id: "gpu", cpu.node_id: "cpu"}
    finally:
        ray.shutdown()
        cluster.shutdown()


def common(folder: Path) -> dict[str, Any]:
    return {"run_id": "run-1", "generation": 0, "attempt": 1, "folder_uri": str(folder), "seed": 0, "nodes": NODES}


def where_a_pool_works(pool: ActorPool, folder: Path, shards: int) -> set[str]:
    """The ids of the nodes on which the pool's actors work."""
    spec = EvaluateSpec(**common(folder), model_uri="/none", manifest_uri="/none", pool=pool)

    def make_function() -> ShardFunction:
        return lambda shard: str(ray.get_runtime_context().get_node_id()).encode()

    done = map_shards(make_function, range(shards), settled_on_cluster(spec).pool)
    return {shard.payload.decode() for shard in done}


def test_a_pool_without_gpus_keeps_off_the_node_with_one_however_many_actors_it_may_have(
    places: dict[str, str], tmp_path: Path
) -> None:
    found = where_a_pool_works(ActorPool(gpus_per_actor=0.0, cpus_per_actor=0.5, min_actors=3), tmp_path, shards=6)

    assert {places[node] for node in found} == {"cpu"}


def test_a_pool_that_leaves_it_to_the_cluster_works_on_its_gpu(places: dict[str, str], tmp_path: Path) -> None:
    found = where_a_pool_works(ActorPool(), tmp_path, shards=2)

    assert {places[node] for node in found} == {"gpu"}


def test_a_pool_works_where_its_run_says(places: dict[str, str], tmp_path: Path) -> None:
    labels = {"noisy-student.io/accelerator": "gpu"}

    found = where_a_pool_works(ActorPool(gpus_per_actor=0.0, node_labels=labels), tmp_path, shards=2)

    assert {places[node] for node in found} == {"gpu"}


def test_training_on_cpus_keeps_off_the_node_with_a_gpu_and_its_controller_sits_on_the_head(
    places: dict[str, str], tmp_path: Path
) -> None:
    spec = TrainSpec(
        **common(tmp_path),
        model="test_resnet",
        classes=("cat", "dog"),
        recipe=Recipe(),
        labeled_manifest_uri="/none",
        validation_manifest_uri="/none",
        workers=WorkerGroup(num_workers=2, gpus_per_worker=0.0),
    )

    def train_on_worker(spec: TrainSpec, entered_at: float) -> None:
        import ray.train

        rank = ray.train.get_context().get_world_rank()
        Path(tmp_path, f"rank-{rank}").write_text(ray.get_runtime_context().get_node_id())

    fit_in_actor(settled_on_cluster(spec), train_on_worker, 0.0)

    workers = [path.read_text() for path in sorted(tmp_path.glob("rank-*"))]
    assert [places[node] for node in workers] == ["cpu", "cpu"]
    trainers = [each for each in actors().values() if each["ActorClassName"] == "_TrainerActor"]
    assert [places[each["Address"]["NodeID"]] for each in trainers] == ["head"]


@pytest.mark.parametrize(
    ("labels", "place"),
    [(NODES.cpu_node_labels, "cpu"), ({"noisy-student.io/accelerator": "gpu"}, "gpu")],
)
def test_the_trial_of_a_search_runs_where_its_workers_may(
    places: dict[str, str], labels: dict[str, str], place: str
) -> None:
    group = _one_bundle({"CPU": 1.0, "GPU": 0.0}, labels).to_placement_group()
    try:
        assert group.wait(30)
        assert [places[node] for node in placement_group_table(group)["bundles_to_node_id"].values()] == [place]
    finally:
        ray.util.remove_placement_group(group)


def test_a_trial_that_only_waits_for_its_workers_sits_on_the_head(places: dict[str, str]) -> None:
    group = _one_bundle({"memory": 1 << 20}, NODES.helper_node_labels).to_placement_group()
    try:
        assert group.wait(30)
        assert [places[node] for node in placement_group_table(group)["bundles_to_node_id"].values()] == ["head"]
    finally:
        ray.util.remove_placement_group(group)
