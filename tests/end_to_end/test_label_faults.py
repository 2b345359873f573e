"""Kill -9, for real: of an actor, a driver, the Ray head, a node. Not a row differs, and no finished file is redone.

`python -m benchmarks.label_faults --seed S --kills N` does the same for longer.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import ray

from benchmarks.label_faults import label_under_kills, label_undisturbed, write_pool
from benchmarks.private_ray import PrivateRay
from benchmarks.stage_job import StageJob
from workers.models.shard_pool import ShardDone, map_shards
from workers.specs.recipe import Materialization, SelectionSettings
from workers.specs.stages import ActorPool, SelectSpec


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


def test_training_shards_are_the_same_after_a_kill(data: Path, undisturbed: Path, tmp_path: Path):
    def select_job(folder: str, cluster: PrivateRay) -> StageJob:
        spec = SelectSpec(
            run_id="faults",
            generation=1,
            attempt=1,
            folder_uri=str(tmp_path / folder),
            seed=5,
            manifest_uri=str(data / "shards" / "manifest.json"),
            labels_uri=str(undisturbed),
            classes=tuple(map(str, range(1000))),
            settings=SelectionSettings(
                min_confidence=0, fill_up=False, materialize=Materialization(rows_per_shard=100)
            ),
            pool=ActorPool(max_actors=2, cpus_per_actor=1.0),
        )
        return StageJob(spec, "materialized/*/run-*", cluster)

    def training_shards(folder: str) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (tmp_path / folder / "materialized").glob("*")}

    with PrivateRay(num_cpus=2) as cluster:
        with closing(select_job("undisturbed", cluster)) as job:
            job.start_attempt()
            whole = job.wait()
        with closing(select_job("killed", cluster)) as job:
            job.start_attempt()
            while job.finished() < 2:
                assert not job.has_ended()
                time.sleep(0.01)
            job.kill_driver()
            job.start_attempt()
            resumed = job.wait()
    assert resumed.attempt == 2
    assert resumed.training_shards == whole.training_shards == 30
    assert training_shards("killed") == training_shards("undisturbed")
    assert job.replaced == 0


def test_a_lost_node_costs_its_shards_in_flight_and_a_new_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In one attempt: all shards come, few are begun twice, and the new node does some of the work."""
    # Ray takes half a minute to be sure that a node is gone; so long would the test be.
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")

    def make_function() -> Callable[[int], bytes]:
        def work(shard: int) -> bytes:
            (tmp_path / f"{shard}-{time.time_ns()}").touch()
            time.sleep(0.5)
            return ray.get_runtime_context().get_node_id().encode()

        return work

    with PrivateRay(num_cpus=0) as cluster:
        lost, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
        try:
            done: list[ShardDone] = []
            for shard in map_shards(make_function, range(50), ActorPool(min_actors=1, cpus_per_actor=1.0)):
                done.append(shard)
                if len(done) == 10:
                    lost.kill()
                    cluster.add_node(num_cpus=1)
        finally:
            ray.shutdown()
    assert sorted(shard.shard_index for shard in done) == list(range(50))
    assert len({shard.payload for shard in done}) == 3, "each node, the new one too, did some of the work"
    assert len(list(tmp_path.iterdir())) <= 50 + 2, "at most what the lost actor had been given"
