"""Runs' places in the queue under many readers: it is read rarely, and never under the write lock."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from service.config.run import RunChanges
from service.runs.commands import RunCommands
from service.scheduling.queue_places import SECONDS_BETWEEN_LOOKS, QueuePlaces
from service.scheduling.queue_reader import Queue, read_queue
from service.store.database import CONNECTIONS, POOL_WAIT_SECONDS, Database
from service.views.runs import RunView
from service.wiring import open_services
from tests.at_once import LONG_SECONDS, join
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def queue_reads(database: Database) -> Iterator[list[bool]]:
    """Records, for each read of the queue, whether it happened in a write transaction."""
    reads: list[bool] = []

    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "stages.ready_at IS NOT NULL" in statement:
            reads.append(connection.get_execution_options().get("begin_immediate", False))

    event.listen(database.engine, "before_cursor_execute", note)
    yield reads
    event.remove(database.engine, "before_cursor_execute", note)


def position(bench: Workbench, places: QueuePlaces, run_id: str) -> int | None:
    return place_of(bench, places, bench.queries.get_run(run_id))


def one_at_a_time(bench: Workbench) -> tuple[RunCommands, QueuePlaces]:
    """The queries of a process that permits one stage on the cluster and reads the queue once a second."""
    world = replace(bench.world, queue_look_seconds=SECONDS_BETWEEN_LOOKS)
    settings = changed(bench.settings, reconciler__max_concurrent_stages=1)
    services = open_services(settings, database=bench.database, ray_jobs=bench.ray_jobs, world=world)
    return services.commands, services.places


def place_of(bench: Workbench, places: QueuePlaces, run: RunView) -> int | None:
    with bench.database.read() as session:
        place = places.fill_run(session, run).queue
    return None if place is None else place.position


def test_one_look_serves_all_for_a_while(bench: Workbench, run_config: MakeConfig) -> None:
    runs = [bench.commands.create_run(run_config()).id for _ in range(3)]
    places = QueuePlaces(1, bench.clock, seconds=0.5)

    with queue_reads(bench.database) as reads:
        assert {position(bench, places, run) for run in runs} == {None, 1, 2}
        assert len(reads) == 1
        bench.clock.advance(0.5)
        assert {position(bench, places, run) for run in runs} == {None, 1, 2}
        assert len(reads) == 2


def test_nobody_waits_for_another_who_looks_anew(
    bench: Workbench, run_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = QueuePlaces(1, bench.clock)
    bench.commands.create_run(run_config())
    bench.clock.advance(0.1)
    second = bench.commands.create_run(run_config())
    assert place_of(bench, places, second) == 1
    looking, may_go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Queue | None:
        looking.set()
        assert may_go_on.wait(LONG_SECONDS)
        return read_queue(*arguments)

    monkeypatch.setattr("service.scheduling.queue_places.read_queue", slow)
    bench.clock.advance(SECONDS_BETWEEN_LOOKS)
    thread = threading.Thread(target=place_of, args=(bench, places, second), daemon=True)
    thread.start()
    assert looking.wait(LONG_SECONDS)

    assert place_of(bench, places, second) == 1, "as it was a moment ago"

    may_go_on.set()
    join(thread)


def test_those_who_hold_all_connections_wait_for_nobody_who_needs_one(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())
    places = QueuePlaces(1, bench.clock)
    held, may_look = threading.Barrier(CONNECTIONS + 1), threading.Event()

    def read_then_look() -> None:
        with bench.database.read() as session:
            session.connection()
            held.wait(LONG_SECONDS)
            assert may_look.wait(LONG_SECONDS)
            places.queue(session)

    readers = [threading.Thread(target=read_then_look, daemon=True) for _ in range(CONNECTIONS)]
    for reader in readers:
        reader.start()
    held.wait(LONG_SECONDS)
    fresh = threading.Thread(target=place_of, args=(bench, places, run), daemon=True)
    fresh.start()
    may_look.set()
    for thread in [*readers, fresh]:
        thread.join(POOL_WAIT_SECONDS / 2)
        assert not thread.is_alive()


def test_an_answer_that_is_given_once_more_does_not_put_its_run_back_into_the_line(
    bench: Workbench, run_config: MakeConfig
) -> None:
    commands, places = one_at_a_time(bench)
    first = commands.create_run(run_config(), "the key of the first")
    bench.clock.advance(SECONDS_BETWEEN_LOOKS)
    bench.reconciler().tick()
    second = commands.create_run(run_config())

    again = commands.create_run(run_config(), "the key of the first")

    assert again.queue is None
    with bench.database.read() as session:
        queue = places.queue(session)
    assert queue is not None
    assert queue.claims.keys() == {second.id}
    assert first.id == again.id


def test_a_clock_that_is_set_back_does_not_keep_what_was_seen(bench: Workbench, run_config: MakeConfig) -> None:
    places = QueuePlaces(1, bench.clock)
    run = bench.commands.create_run(run_config())
    place_of(bench, places, run)

    bench.clock.advance(-3600)
    with queue_reads(bench.database) as reads:
        place_of(bench, places, run)

    assert len(reads) == 1


def test_a_look_that_was_under_way_when_a_limit_changed_is_not_kept(
    bench: Workbench, run_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = QueuePlaces(1, bench.clock)
    run = bench.commands.create_run(run_config())

    def changed_meanwhile(*arguments: Any) -> Queue | None:
        places.forget()
        return read_queue(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("service.scheduling.queue_places.read_queue", changed_meanwhile)
        place_of(bench, places, run)

    with queue_reads(bench.database) as reads:
        place_of(bench, places, run)
    assert len(reads) == 1


def test_a_run_created_since_the_last_look_has_its_place(bench: Workbench, run_config: MakeConfig) -> None:
    first = bench.commands.create_run(run_config()).id
    places = QueuePlaces(1, bench.clock, seconds=0.5)
    assert position(bench, places, first) is None

    bench.clock.advance(0.1)
    second = bench.commands.create_run(run_config()).id

    assert position(bench, places, second) == 1


def test_a_run_that_was_moved_since_the_last_look_stands_at_its_new_place(
    bench: Workbench, run_config: MakeConfig
) -> None:
    commands, places = one_at_a_time(bench)
    runs = []
    for _ in range(3):
        bench.clock.advance(0.1)
        runs.append(commands.create_run(run_config()).id)
    assert [position(bench, places, run) for run in runs] == [None, 1, 2]

    moved = commands.change_run(runs[2], RunChanges(priority=10))

    assert moved.queue is None  # it is first in the queue and may start
    assert [position(bench, places, run) for run in runs] == [1, 2, None]


def test_a_new_run_is_given_its_place_without_another_look(bench: Workbench, run_config: MakeConfig) -> None:
    commands, _ = one_at_a_time(bench)
    commands.create_run(run_config())

    with queue_reads(bench.database) as reads:
        bench.clock.advance(0.1)
        once, again = (commands.create_run(run_config(), "the same key") for _ in range(2))
        assert reads == []
        bench.clock.advance(SECONDS_BETWEEN_LOOKS)
        commands.create_run(run_config())
        assert reads == [False]

    assert once.queue is not None
    assert once.queue.position == 1
    assert again == once


def test_a_tick_reads_the_queue_once_however_many_runs_are_cancelled(bench: Workbench, run_config: MakeConfig) -> None:
    bench.restart(changed(bench.settings, reconciler__max_concurrent_stages=1))
    runs = [bench.commands.create_run(run_config()).id for _ in range(3)]
    reconciler = bench.reconciler()
    for run in runs:
        bench.commands.cancel_run(run)

    with queue_reads(bench.database) as reads:
        reconciler.tick()

    assert reads == [False]
