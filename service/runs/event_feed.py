"""Streams new events to the clients of one API process. One poller reads the database for all of them."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import AsyncGenerator
from itertools import takewhile
from typing import TypeVar

from service.runs.view_builder import event_view
from service.store.database import Database
from service.store.event_store import events_after, newest_event_id
from service.views.runs import EventView

logger = logging.getLogger(__name__)

_PAGE = 500
_REMEMBERED = 2000
HEARTBEAT_SECONDS = 15.0
Item = TypeVar("Item")


class EventFeed:
    """The events for the clients of one event loop. The poller runs while at least one client follows.

    No client has a queue. Each keeps the id of the last event that it received, and reads on from the recent events in
    memory, or from the database if it has fallen behind. A slow client therefore costs no memory.
    """

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._clients = 0
        self._poller: asyncio.Task[None] | None = None
        self._recent: deque[EventView] = deque(maxlen=_REMEMBERED)
        self._floor = 0
        """The id after which `_recent` holds all events up to `_newest`."""
        self._newest: int | None = None
        self._changed: asyncio.Event | None = None

    async def follow(self, after: int | None, run_id: str | None = None) -> AsyncGenerator[EventView | None, None]:
        """Yields the events after the id `after` (None: from now on), of all runs or of one, without end.

        Yields None whenever HEARTBEAT_SECONDS pass without an event.
        """
        self._clients += 1
        try:
            newest = await self._started()
            cursor = newest if after is None else after
            while True:
                changed = self._changed
                assert changed is not None
                events, cursor = await self._following(cursor, run_id)
                for event in events:
                    yield event
                if not events and not await _happens_within(changed, HEARTBEAT_SECONDS):
                    yield None
        finally:
            self._clients -= 1

    async def _started(self) -> int:
        """Returns the newest event's id once the poller is running, and starts the poller if necessary."""
        while self._newest is None:
            if self._poller is None or self._poller.done():
                self._changed = asyncio.Event()
                # A context of its own: in the first client's context the poller would see only that caller's projects.
                self._poller = asyncio.create_task(self._poll(), context=contextvars.Context())
            assert self._changed is not None
            await self._changed.wait()
        return self._newest

    async def _following(self, cursor: int, run_id: str | None) -> tuple[list[EventView], int]:
        newest = self._newest
        if newest is None or cursor < self._floor:
            page = await asyncio.to_thread(self._read, cursor, run_id)
            if len(page) == _PAGE or newest is None:
                return page, page[-1].id if page else cursor
            # The page is not full, so it holds all of this client's events up to the newest one before the query.
            return page, max([newest, cursor, *(event.id for event in page)])
        newer = takewhile(lambda event: event.id > cursor, reversed(self._recent))
        found = [event for event in newer if run_id in (None, event.run_id)]
        return found[::-1], max(newest, cursor)

    async def _poll(self) -> None:
        try:
            while self._clients:
                try:
                    found = await self._look()
                except Exception as error:
                    # The database may be unavailable for a while; clients get heartbeats meanwhile.
                    logger.warning("events cannot be read: %s", error)
                    found = 0
                if found < _PAGE:
                    await asyncio.sleep(self._poll_seconds)
        finally:
            self._newest = None
            self._recent.clear()

    async def _look(self) -> int:
        """Reads new events, wakes the clients if there are any, and returns how many there were."""
        if self._newest is None:
            self._newest = self._floor = await asyncio.to_thread(self._read_newest)
            self._tell()
            return 0
        events = await asyncio.to_thread(self._read, self._newest, None)
        for event in events:
            if len(self._recent) == _REMEMBERED:
                self._floor = self._recent[0].id
            self._recent.append(event)
        if events:
            self._newest = events[-1].id
            self._tell()
        return len(events)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        assert changed is not None
        changed.set()

    def _read(self, after: int, run_id: str | None) -> list[EventView]:
        with self._database.read_once() as session:
            return [event_view(row) for row in events_after(session, after, _PAGE, run_id)]

    def _read_newest(self) -> int:
        with self._database.read_once() as session:
            return newest_event_id(session)


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
