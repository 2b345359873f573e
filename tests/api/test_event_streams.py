"""A real server streams server-sent events: every change, in order, each once, whoever made it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.config.events import EventKind
from service.runs.event_feed import EventFeed
from service.settings import Settings
from service.store.database import Database
from service.store.run_store import add_event
from service.wiring import Services
from tests.at_once import wait_until
from tests.support.changed_settings import changed

Follow = Callable[..., Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return changed(settings, events__poll_seconds=0.02, events__max_streams=3)


@pytest.fixture
def follow(server: str) -> Follow:
    """Opens a stream, and yields an iterator over its events."""

    @contextmanager
    def follow(path: str = "/events/stream", **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        with httpx.stream("GET", server + path, headers=headers, timeout=10) as response:
            assert response.status_code == 200
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert next(lines) == "retry: 2000"
            yield _events(lines)

    return follow


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yields the events. Each ends with an empty line, and its fields may have any order."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
            continue
        if "data" in fields:
            event = json.loads(fields["data"])
            assert str(event["id"]) == fields["id"]
            yield event
        fields = {}


def _add(app: FastAPI, *messages: str, run_id: str | None = None) -> None:
    """Records an event on a separate connection, as another process would."""
    services: Services = app.state.services
    database = Database(services.settings.database_url)
    for message in messages:
        with database.write() as session:
            add_event(session, run_id, time.time(), EventKind.PROMOTED, message)
    database.close()


def _take(events: Iterator[dict[str, Any]], count: int) -> list[str]:
    """The messages of the next events."""
    return [next(events)["message"] for _ in range(count)]


def test_changes_arrive_as_they_are_made_by_whatever_process(
    app: FastAPI, follow: Follow, run_id: str, reconcile: Callable[[], None], server: str
) -> None:
    with follow("/events/stream?after=0") as events:
        told = [next(events)]
        while told[-1]["kind"] != "run_created":
            told.append(next(events))
        reconcile()
        while told[-1]["kind"] != "run_succeeded":
            told.append(next(events))

    assert [event["kind"] for event in told[:4]] == ["dataset_registered"] * 4
    assert told[0]["run_id"] is None
    assert {event["run_id"] for event in told[4:]} == {run_id}
    of_run = httpx.get(f"{server}/runs/{run_id}/events?limit=100").json()["items"]
    assert [event["id"] for event in told[4:]] == [event["id"] for event in of_run[::-1]]


def test_a_client_that_comes_again_goes_on_where_it_was(app: FastAPI, follow: Follow) -> None:
    _add(app, "one", "two", "three")
    with follow("/events/stream?after=0") as events:
        assert _take(events, 2) == ["one", "two"]
    _add(app, "four")
    with follow("/events/stream?after=0", **{"Last-Event-ID": "2"}) as events:
        assert _take(events, 2) == ["three", "four"]
        _add(app, "five")
        assert _take(events, 1) == ["five"]


def test_without_a_beginning_it_begins_now(app: FastAPI, follow: Follow) -> None:
    _add(app, "before")
    with follow("/events/stream?after=0") as earlier, follow() as events:
        assert _take(earlier, 1) == ["before"]
        services: Services = app.state.services
        # The second starts from what the first has found; nothing happens in between in that loop.
        wait_until(lambda: services.event_feed._clients == 2, "both to follow")
        _add(app, "after")
        assert _take(events, 1) == ["after"]


def test_a_runs_stream_has_that_runs_events_only(app: FastAPI, follow: Follow, run_id: str, server: str) -> None:
    with follow(f"/runs/{run_id}/events/stream?after=0") as events:
        assert next(events)["kind"] == "run_created"
        _add(app, "of no run")
        _add(app, "mine", run_id=run_id)
        assert _take(events, 1) == ["mine"]
    assert httpx.get(f"{server}/runs/run-0/events/stream").status_code == 404


def test_a_client_far_behind_catches_up_page_by_page(app: FastAPI, follow: Follow) -> None:
    services: Services = app.state.services
    with services.database.write() as session:
        for number in range(1234):
            add_event(session, None, 0.0, EventKind.PROMOTED, f"{number}")
    with follow("/events/stream?after=0") as events:
        assert _take(events, 1234) == [f"{number}" for number in range(1234)]
        _add(app, "new")
        assert _take(events, 1) == ["new"]


def test_all_clients_share_one_look_at_the_database(
    app: FastAPI, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    sights: list[str] = []
    read = EventFeed._read

    def noting(feed: EventFeed, after: int, run_id: str | None) -> Any:
        events = read(feed, after, run_id)
        sights.extend(event.message for event in events)
        return events

    with ExitStack() as streams:
        followed = [streams.enter_context(follow("/events/stream?after=0")) for _ in range(3)]
        _add(app, "first")
        for events in followed:
            assert _take(events, 1) == ["first"]
        monkeypatch.setattr(EventFeed, "_read", noting)
        _add(app, "second")
        for events in followed:
            assert _take(events, 1) == ["second"]
    assert sights.count("second") == 1


def test_one_client_too_many_is_told_to_come_later(app: FastAPI, follow: Follow, server: str) -> None:
    with ExitStack() as streams:
        for _ in range(3):
            events = streams.enter_context(follow("/events/stream?after=0"))
        _add(app, "all of them follow")
        assert _take(events, 1) == ["all of them follow"]
        refused = httpx.get(f"{server}/events/stream")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "10"
        assert refused.headers["Content-Type"] == "application/problem+json"


def test_silence_is_broken_by_heartbeats(app: FastAPI, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.runs.event_feed.HEARTBEAT_SECONDS", 0.05)
    with httpx.stream("GET", f"{server}/events/stream", timeout=10) as response:
        lines = (line for line in response.iter_lines() if line)
        assert [next(lines) for _ in range(3)] == ["retry: 2000", ": still here", ": still here"]


def test_a_beginning_that_is_no_number_is_refused(server: str) -> None:
    assert httpx.get(f"{server}/events/stream?after=yesterday").status_code == 422
    assert httpx.get(f"{server}/events/stream", headers={"Last-Event-ID": "x"}).status_code == 422
