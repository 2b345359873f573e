"""Events are read in the order of their ids, and a reader that remembers the last id misses none."""

import threading
from functools import partial

from service.config.events import EventKind
from service.store.database import Database
from service.store.event_store import events_after
from service.store.run_store import add_event
from tests.at_once import at_once

WRITERS = 6
EVENTS_A_WRITER = 15


def test_a_slow_transaction_does_not_leave_its_events_behind_a_reader(database: Database) -> None:
    """Writers delay their commits after writing events, while a reader continues from the last id."""
    stop = threading.Event()
    seen: list[int] = []

    def write(number: int) -> None:
        for count in range(EVENTS_A_WRITER):
            with database.write() as session:
                add_event(session, None, 0.0, EventKind.PROMOTED, f"{number}/{count}")
                session.flush()
                stop.wait(0.001 * (number % 3))  # later writers commit sooner

    def read() -> None:
        while True:
            last_look = stop.is_set()
            with database.read() as session:
                seen.extend(row.id for row in events_after(session, seen[-1] if seen else 0, limit=7))
            if last_look and len(seen) >= WRITERS * EVENTS_A_WRITER:
                return
            assert not (last_look and _is_through(database, seen)), f"{len(seen)} events were seen"

    def write_all() -> None:
        try:
            at_once([partial(write, number) for number in range(WRITERS)])
        finally:
            stop.set()

    at_once([read, write_all])

    with database.read() as session:
        assert seen == [row.id for row in events_after(session, 0, limit=10_000)]
    assert len(seen) == WRITERS * EVENTS_A_WRITER


def _is_through(database: Database, seen: list[int]) -> bool:
    with database.read() as session:
        return not events_after(session, seen[-1] if seen else 0, limit=1)
