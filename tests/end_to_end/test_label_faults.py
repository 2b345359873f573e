"""Kill -9 while labeling, for real: an actor, the driver, the Ray head. Not a row differs, no finished shard is redone.

`python -m benchmarks.label_faults --seed S --kills N` does the same for longer.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from benchmarks.label_faults import label_under_kills, label_undisturbed, write_pool
from benchmarks.private_ray import PrivateRay
from workers.models.shard_pool import ShardDone, map_shards
from workers.specs.stages import ActorPool


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_pool(folder, shards=30, rows=100)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "label"
    label_undisturbed(folder, data)
    return folder


def test_label_files_are_the_same_after_kills_of_actor_driver_and_head(data: Path, undisturbed: Path, tmp_path: Path):
    victims = ["actor", "driver", "actor", "head"]
    outcome = label_under_kills(tmp_path / "killed", data, undisturbed, victims, seed=3)
    assert outcome.kills == {"actor": 2, "driver": 1, "head": 1}
    assert outcome.attempts == 3, "a lost actor costs no attempt"
    assert outcome.different_files == []
    assert outcome.labeled_again == 0
    assert outcome.temporary_files == 0
    assert outcome.shards_resumed >= outcome.finished_at_last_start > 0


def test_a_lost_node_costs_its_shards_in_flight_and_a_new_one_is_used(tmp_path: Path):
    """Nodes are taken away and added while shards are being worked on: all come, few twice, and the new node helps."""

    def make_function() -> Callable[[int], bytes]:
        def work(shard: int) -> bytes:
            (tmp_path / f"{shard}-{time.time_ns()}").touch()
            time.sleep(0.5)
            return ray.get_runtime_context().get_node_id().encode()

        return work

    with PrivateRay(num_cpus=0) as cluster:
        nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
        try:
            done: list[ShardDone] = []
            for shard in map_shards(make_function, range(90), ActorPool(min_actors=1, cpus_per_actor=1.0)):
                done.append(shard)
                if len(done) in (10, 40):
                    nodes.pop(0).kill()
                    nodes.append(cluster.add_node(num_cpus=1))
        finally:
            ray.shutdown()
    assert sorted(shard.shard_index for shard in done) == list(range(90))
    assert len({shard.payload for shard in done}) == 4, "each node, new ones too, did some of the work"
    # Two of each lost actor: the one it worked on, and one that waited.
    assert len(list(tmp_path.iterdir())) <= 90 + 2 * 2
