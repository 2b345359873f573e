"""Kill -9 while labeling, for real: an actor, the driver, the Ray head. Not a row differs, no finished shard is redone.

`python -m benchmarks.label_faults --seed S --kills N` does the same for longer.
"""

from pathlib import Path

import pytest

from benchmarks.label_faults import label_under_kills, label_undisturbed, write_pool


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("label-faults")
    write_pool(folder, shards=30, rows=48)
    return folder


def test_label_files_are_the_same_after_kills_of_actor_driver_and_head(data: Path, tmp_path: Path):
    label_undisturbed(tmp_path / "undisturbed", data)
    victims = ["actor", "driver", "actor", "head"]
    outcome = label_under_kills(tmp_path / "killed", data, tmp_path / "undisturbed", victims, seed=3)
    assert outcome.kills == {"actor": 2, "driver": 1, "head": 1}
    assert outcome.attempts == 3, "a lost actor costs no attempt"
    assert outcome.different_files == []
    assert outcome.labeled_again == 0
    assert outcome.temporary_files == 0
    assert outcome.shards_resumed >= outcome.finished_at_last_start > 0
