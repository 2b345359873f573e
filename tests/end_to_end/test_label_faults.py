"""Kill -9 while labeling, for real: an actor, the driver, the Ray head. Not a row differs, no finished shard is redone.

`python -m benchmarks.label_faults --seed S --kills N` does the same for longer.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.label_faults import LabelJob, different_files, label_under_kills, label_undisturbed, write_pool
from benchmarks.private_ray import PrivateRay

TIMEOUT_SECONDS = 120


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


def test_a_lost_node_costs_its_shards_in_flight_and_a_new_one_is_used(data: Path, undisturbed: Path, tmp_path: Path):
    with PrivateRay(num_cpus=0) as ray, closing(LabelJob(tmp_path / "label", data, ray, max_actors=None)) as job:
        lost, kept = ray.add_node(num_cpus=1), ray.add_node(num_cpus=1)
        job.start_attempt()
        wait_until(lambda: len(lost.actors()) == len(kept.actors()) == 1 and job.finished() >= 4)
        lost.kill()
        new = ray.add_node(num_cpus=1)
        wait_until(lambda: len(new.actors()) == 1)
        result = job.wait()
    assert (result.attempt, result.shards_resumed) == (1, 0), "in the same attempt"
    assert job.labeled_again == 0
    assert different_files(tmp_path / "label", undisturbed) == []


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
