"""The event feed on both kinds of database: one poller for clients with different permissions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from service.config.events import EventKind
from service.config.run import RunConfig
from service.runs.event_feed import EventFeed
from service.store.run_store import add_event
from service.store.visibility import only_projects
from service.views.runs import EventView
from tests.support.workbench import Workbench

LIMIT_SECONDS = 5.0
"""A timeout for what should happen at once."""


def test_a_first_client_of_one_project_does_not_silence_the_others(
    bench: Workbench, run_config: Callable[..., RunConfig]
) -> None:
    cats, pets = (bench.commands.create_run(run_config(project=project)).id for project in ("cats", "pets"))
    feed = EventFeed(bench.database, poll_seconds=0.01)

    async def follow_both() -> EventView:
        with only_projects(frozenset({"cats"})):
            limited = feed.follow(0, cats)
            assert (await _next(limited)).run_id == cats  # from now on the poller runs
        async with aclosing(limited), aclosing(feed.follow(0, pets)) as unlimited:
            assert (await _next(unlimited)).kind == "run_created"
            with bench.database.write() as session:
                add_event(session, pets, bench.clock(), EventKind.PROMOTED, "")
            return await _next(unlimited)

    assert asyncio.run(follow_both()).kind == EventKind.PROMOTED


async def _next(events: AsyncIterator[EventView | None]) -> EventView:
    event = await asyncio.wait_for(anext(events), LIMIT_SECONDS)
    assert event is not None
    return event
