"""Real SIGKILLs of an actor, a driver, the Ray head and a node: no row differs, and no finished file is redone.

`python -m benchmarks.data_plane.label_faults --seed S --kills N` kills for longer.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import ray

from benchmarks.data_plane.label_faults import ACTORS, label_under_kills, label_undisturbed, write_pool
from benchmarks.support.private_ray import PrivateRay, RayNode
from benchmarks.support.stage_job import StageJob
from workers.runtime.shard_pool import ShardDone, map_shards
from workers.runtime.stage_reporter import StageReporter
from workers.selection import materialize
from workers.selection.stage import run_select
from workers.specs.results import SelectResult
from workers.specs.selection import Materialization, SelectionSettings
from workers.specs.stages import ActorPool, SelectSpec

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateRay]:
    with PrivateRay(num_cpus=ACTORS + 1) as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_pool(folder, shards=24, rows=100)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, cluster: PrivateRay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "label"
    label_undisturbed(folder, data, cluster)
    return folder


def test_training_shards_are_the_same_after_a_kill(
    data: Path, undisturbed: Path, cluster: PrivateRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def select_spec(folder: str) -> SelectSpec:
        return SelectSpec(
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
            pool=ActorPool(max_actors=ACTORS, cpus_per_actor=1.0),
        )

    def training_shards(folder: str) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (tmp_path / folder / "materialized").glob("*")}

    with closing(StageJob(select_spec("killed"), "materialized/*/run-*", cluster)) as job:
        job.start_attempt()
        deadline = time.monotonic() + 120
        while job.finished() < 2:
            assert not job.has_ended()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.kill_driver()
        job.start_attempt()
        result = job.wait()
    assert isinstance(result, SelectResult)
    assert (result.attempt, result.training_shards) == (2, 24)
    assert job.replaced == 0

    monkeypatch.setattr(materialize, "map_shards", in_this_process)
    spec = select_spec("undisturbed")
    (tmp_path / "undisturbed").mkdir()
    run_select(spec, StageReporter(spec, entered_at=0.0))
    assert training_shards("killed") == training_shards("undisturbed")


def test_label_files_are_the_same_after_kills_of_actor_driver_and_head(
    data: Path, undisturbed: Path, cluster: PrivateRay, tmp_path: Path
) -> None:
    outcome = label_under_kills(tmp_path / "killed", data, undisturbed, ["actor", "driver", "head"], 3, cluster)
    assert outcome.kills == {"actor": 1, "driver": 1, "head": 1}
    assert outcome.attempts == 3, "a lost actor costs no attempt"
    assert outcome.different_files == []
    assert outcome.labeled_again == 0
    assert outcome.temporary_files == 0
    assert outcome.shards_resumed >= outcome.finished_at_last_start > 0


@pytest.mark.parametrize(
    ("goes_away", "begun_twice"),
    [
        pytest.param(RayNode.kill, 2, id="killed"),
        # What an actor is at when its node's grace ends; the shard that waits behind has not begun.
        pytest.param(RayNode.preempt, 1, id="drained"),
    ],
)
def test_a_lost_node_costs_its_shards_in_flight_and_a_new_one_is_used(
    goes_away: Callable[[RayNode], None], begun_twice: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt labels all shards, starts few of them twice, and gives the new node part of the work."""
    # By default Ray takes half a minute to notice that a node is gone, which would delay the test.
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    begun, nodes = tmp_path / "begun", tmp_path / "nodes"
    begun.mkdir()
    nodes.mkdir()
    patience_ends_at = time.time() + 90

    def make_function() -> Callable[[int], bytes]:
        def work(shard: int) -> bytes:
            (begun / f"{shard}-{time.time_ns()}").touch()
            (nodes / ray.get_runtime_context().get_node_id()).touch()
            time.sleep(0.2)
            # The node is lost only once both work, and the last shards wait for the third.
            needed = 3 if shard >= 20 else 2 if shard >= 5 else 1
            while len(list(nodes.iterdir())) < needed and time.time() < patience_ends_at:
                time.sleep(0.1)
            return b""

        return work

    with PrivateRay(num_cpus=0) as small:
        lost, _ = small.add_node(num_cpus=1, grace_seconds=2.0), small.add_node(num_cpus=1)
        ray.init(small.address, logging_level=logging.ERROR, log_to_driver=False)
        try:
            done: list[ShardDone] = []
            for shard in map_shards(make_function, range(30), ActorPool(min_actors=1, cpus_per_actor=1.0)):
                done.append(shard)
                if len(done) == 10:
                    goes_away(lost)
                    small.add_node(num_cpus=1)
        finally:
            ray.shutdown()
    assert sorted(shard.shard_index for shard in done) == list(range(30))
    assert len(list(nodes.iterdir())) == 3, "each node, the new one too, did some of the work"
    assert len(list(begun.iterdir())) <= 30 + begun_twice, "at most what the lost actor had been given is begun twice"


def in_this_process(
    make_function: Callable[[], Callable[[int], bytes]], shards: range, pool: ActorPool
) -> Iterator[ShardDone]:
    function = make_function()
    for shard in shards:
        yield ShardDone(shard, 0.0, 0.0, function(shard))
