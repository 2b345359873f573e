"""Which runs retention examines: an unchanged run is not read again, and none is forgotten."""

from typing import Any

import pytest

from service.config.run import GenerationOverrides
from service.config.studies import AblationRequest
from service.retention.looks import RetentionLook, note_looks, runs_to_look_at
from service.store.transitions import look_again
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench

DAY_SECONDS = 86_400.0


@pytest.fixture
def finished(bench: Workbench, run_config: MakeConfig) -> str:
    """A run of two students that ended a second ago."""
    run_id: str = bench.commands.create_run(run_config(generations=2)).id
    bench.play_to_the_end(bench.reconciler())
    bench.clock.advance(1)
    return run_id


def look(bench: Workbench, **policy: Any) -> None:
    """Collects as the reconciler does every ten minutes. With other settings, as after a restart."""
    settings = changed(bench.settings, **{f"retention__{name}": value for name, value in policy.items()})
    bench.services_with(settings).retention.apply()
    bench.clock.advance(1)


def due(bench: Workbench, **policy: Any) -> list[str]:
    default = bench.settings.retention.policy.model_copy(update=policy)
    with bench.database.read() as session:
        return list(runs_to_look_at(session, default, bench.clock(), 10))


def test_a_run_is_looked_at_when_it_is_old_enough_and_then_no_more(bench: Workbench, finished: str) -> None:
    assert due(bench) == [finished]
    look(bench)
    assert due(bench) == [], "it is too young"

    bench.clock.advance(DAY_SECONDS)
    assert due(bench) == [finished]
    look(bench)

    bench.clock.advance(100 * DAY_SECONDS)
    assert due(bench) == [], "the last generation's labels stay for ever"


def test_a_run_that_goes_on_is_looked_at_again(bench: Workbench, finished: str) -> None:
    bench.clock.advance(DAY_SECONDS)
    look(bench)
    bench.commands.add_generation(finished, GenerationOverrides())
    assert due(bench) == []

    bench.play_to_the_end(bench.reconciler())
    bench.clock.advance(1)

    assert due(bench) == [finished]


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_whose_model_is_kept_or_released_is_looked_at_again(bench: Workbench, finished: str, kept: bool) -> None:
    retention = bench.services.retention
    retention.set_kept(f"{finished}-g2", not kept)
    bench.clock.advance(DAY_SECONDS)
    look(bench)
    assert due(bench) == []

    retention.set_kept(f"{finished}-g2", kept)
    bench.clock.advance(1)

    assert due(bench) == [finished]


def test_runs_are_looked_at_again_with_another_policy(bench: Workbench, finished: str) -> None:
    bench.clock.advance(DAY_SECONDS)
    look(bench)

    assert due(bench, keep_label_generations=0) == [finished]
    look(bench, keep_label_generations=0)
    assert due(bench, keep_label_generations=0) == []


def test_a_run_whose_labels_another_reads_is_looked_at_each_time(bench: Workbench, finished: str) -> None:
    bench.study_commands.create_ablation(finished, AblationRequest(generation=1))
    bench.clock.advance(DAY_SECONDS)

    look(bench)
    assert due(bench) == [finished]

    bench.play_to_the_end(bench.reconciler())
    bench.clock.advance(DAY_SECONDS)
    look(bench)
    assert due(bench) == []


def test_a_run_that_changes_while_it_is_looked_at_is_looked_at_again(bench: Workbench, finished: str) -> None:
    with bench.database.read() as session:
        seen = runs_to_look_at(session, bench.settings.retention.policy, bench.clock(), 10)
    with bench.database.write() as session:
        look_again(session, finished, bench.clock())

    with bench.database.write() as session:
        note_looks(session, [RetentionLook(finished, seen[finished], None)], bench.settings.retention.policy)
    bench.clock.advance(1)

    assert due(bench) == [finished]
