"""A round of the seeded fault test, on a stack of its own: `make fault-test` plays many."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults.rounds import play_round, possible_faults, register, small_run
from benchmarks.faults.scene import Scene
from benchmarks.postgres_server import PostgresMissing

SEED = int(os.environ.get("FAULT_SEED", "0"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    try:
        scene = Scene(Path(tmp_path_factory.mktemp("faults")))
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    with scene:
        yield scene


def test_a_run_that_is_hurt_ends_well_and_nothing_is_done_twice(scene):
    dice = random.Random(SEED)
    drawn = dice.sample(possible_faults(scene), 4)
    config = small_run(register(scene, SEED), generations=0)

    played = play_round(scene, config, drawn, dice, pause=(2.0, 8.0))

    assert played.complaints == (), f"{drawn}: {played.faults}"
    assert len(played.faults) == len(drawn), "the run ended before all faults had come"
